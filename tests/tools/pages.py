"""Write the pages of the docs that are made from the tests: docs/laws.md, docs/museum.md and docs/mutants.md.

python tests/tools/pages.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # the folder `tests`, where `tools` is found

from tools.laws_page import laws_page
from tools.museum_page import museum_page
from tools.mutants_page import mutants_page

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGES = {"laws.md": laws_page, "museum.md": museum_page, "mutants.md": mutants_page}


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
