"""The code of a page, run from top to bottom as it stands there. Figures and laws use what the reader copies."""

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run_page(name: str) -> dict[str, Any]:
    """Run the Python blocks of docs/NAME in order, and return all names that they define.

    Empty lines before a block keep the page's line numbers, so a traceback points into the page.
    """
    text, names = (DOCS / name).read_text(encoding="utf-8"), {"__name__": name}
    for block in BLOCK.finditer(text):
        above = text[: block.start(1)].count("\n")
        exec(compile("\n" * above + block[1], DOCS / name, "exec"), names)
    return names
