"""{{ parity() }}: how far our modules are from the official ones, as tests/tools/parity.py measured it."""

from macros.excerpts import read


def parity() -> str:
    """A row for each module."""
    rows = [
        f"| {name} | {row['largest difference']:.1e} | {row['largest number']:.2f} | {row['relative']:.1e} |"
        for name, row in read("parity.json", "modules").items()
    ]
    head = "| | largest difference | largest official number | relative |"
    return "\n".join([head, "| --- | ---: | ---: | ---: |", *rows])
