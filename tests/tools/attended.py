"""Where a graded run begins, in a process of its own. The grader runs no law, so it imports none of the libraries."""

from multiprocessing.connection import Connection


def attended(connection: Connection, folder: str) -> None:
    """Run the job that comes through the connection (tools.graded), which its process has already imported."""
    from tools.graded import attend

    attend(connection, folder)
