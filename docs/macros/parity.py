"""{{ parity() }}: how far our modules are from the official ones, as tests/tools/parity.py measured it."""

from macros.excerpts import read


def parity() -> str:
    """A row for each module."""
    rows = [
        f"| {name} | {_small(row['largest difference'])} | {row['largest number']:.2f} | {_small(row['relative'])} |"
        for name, row in read("parity.json", "modules").items()
    ]
    head = "| | largest difference | largest official number | relative |"
    return "\n".join([head, "| --- | ---: | ---: | ---: |", *rows])


def _small(difference: float) -> str:
    return f"{difference:.1e}" if difference else "0"
