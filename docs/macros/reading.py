"""{{ minutes("flow") }}: how long a page takes to read. {{ reading(1, 2) }}: the same for parts of the course."""

import re

from macros.excerpts import ROOT

WORDS_A_MINUTE = 150  # prose with formulas that are followed, not skimmed
NOT_READ = re.compile(r"<(\w+)[^>]*>|</\w+>|\{\{ *(code|stage|snippet|figure|law|lab)\b.*?\}\}", re.DOTALL)


def minutes(page: str) -> str:
    """Minutes for one page, to five."""
    return f"{_minutes(page)}"


def minutes_of_parts(*parts: int) -> str:
    """Minutes for all chapters of these parts of the course."""
    return f"{sum(map(_minutes, chapters(*parts)))}"


def reading(*parts: int) -> str:
    """The shortest and the longest chapter of these parts, and the hours of all."""
    times = [_minutes(page) for page in chapters(*parts)]
    return f"{min(times)} to {max(times)} minutes a chapter, about {sum(times) / 60:.0f} hours in all"


def chapters(*parts: int) -> list[str]:
    """The pages of these parts, as the navigation names them."""
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    blocks = [re.search(rf"^  - {part} [^\n]*\n((?:      .*\n)+)", nav, re.MULTILINE) for part in parts]
    return [page for block in blocks if block for page in re.findall(r"([\w-]+)\.md", block[1])]


def words(text: str) -> int:
    """The words of a page's source. A number that a macro writes counts as one, a drawing or a listing as none."""
    return len(re.sub(r"\{\{.*?\}\}", "1", NOT_READ.sub(" ", text)).split())


def _minutes(page: str) -> int:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    return max(5, 5 * round(words(text) / WORDS_A_MINUTE / 5))
