"""The page of the laws: every test of tests/laws with its statement, its reason and its source."""

import ast
import html
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parent.parent
LAWS = TESTS / "laws"
ORDER = (
    *(
        "flow",
        "conversions",
        "uvit",
        "prompt",
        "cache",
        "model",
        "sampling",
        "solvers",
        "pipeline",
        "config",
        "package",
    ),
    *("official_demo", "recipes", "weights", "json_file", "pretrained", "vae", "hub", "atomic", "errors"),
    *("training", "batch", "loop", "album", "device", "compile", "figures", "bench"),
)  # the order of the files; the others follow in alphabetical order
UNTOLD = ("cli", "options", "interrupted")  # not on the page: these test the command line, not the system
WRITTEN: dict[str, str] = tomllib.loads((TESTS / "tools" / "titles.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Law:
    """A test: its name, its statement, the reason why the statement is true, and its source."""

    name: str
    statement: str
    why: str
    source: str

    @property
    def sentence(self) -> str:
        """The name, read as a sentence."""
        return sentence(self.name)


def title(name: str) -> str:
    """Return a name of Python as a title: words in place of underscores, written as titles.toml says."""
    longest_first = sorted(WRITTEN, key=len, reverse=True)
    words = re.sub(rf"\b({'|'.join(longest_first)})\b", lambda found: WRITTEN[found[0]], name.replace("_", " "))
    return words[0].upper() + words[1:]


def files() -> list[Path]:
    """Return every file of laws, the core first."""
    names = {path.stem.removeprefix("test_"): path for path in sorted(LAWS.rglob("test_*.py"))}
    known = [names.pop(name) for name in ORDER if name in names]
    return [*known, *(path for name, path in names.items() if name not in UNTOLD)]


def laws(path: Path) -> list[Law]:
    """Return the laws of one file, in order. Raises ValueError for a docstring of another form than Law describes."""
    source = path.read_text(encoding="utf-8")
    tests = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return [_law(path, test, source) for test in tests if test.name.startswith("test_")]


def _law(path: Path, test: ast.FunctionDef, source: str) -> Law:
    statement, *why = (ast.get_docstring(test) or "").split("\n\n")
    if len(why) != 1:
        raise ValueError(f"{path.name}::{test.name}: expected a docstring of a statement, a blank line, and why")
    first = min([test.lineno, *(decorator.lineno for decorator in test.decorator_list)])
    text = "\n".join(source.splitlines()[first - 1 : test.end_lineno])
    plain = " ".join(statement.split()).replace("`", "")  # all of it is shown as code
    return Law(test.name, plain, " ".join(why[0].split()), text)


def sentence(law: str) -> str:
    """Return the name of a test, read as a sentence; what pytest puts before and behind it is left out."""
    return title(law.split("::")[-1].split("[")[0].removeprefix("test_"))


def names(path: Path) -> list[str]:
    """Return the laws of a file as pytest names them."""
    return [f"{path.relative_to(TESTS.parent)}::{law.name}" for law in laws(path)]


INTRODUCTION = """\
---
render_macros: false
---

# Laws: what must be true

A law is a test that states a fact about the system and the reason for it. There are {number} laws here. Open a law to
read its test. The lines *Held by* in the chapters lead here; [the museum](museum.md) shows what happens when a law is
broken. [What is shown, and how strongly](evidence.md) is the summary on two pages, and [what laws prove and what they
do not](faq.md#what-do-the-laws-prove-and-what-do-they-not-prove) is a question of its own.

| inputs of the test | laws | to see them, filter for |
| --- | ---: | --- |
| drawn by Hypothesis, 25 examples, other ones in each run (the same ones where `CI` is set) | {drawn} | `@given` |
| every case of a list | {listed} | `parametrize` |
| one fixed case, with fixed seeds where it draws numbers | {fixed} | |

A program counts these from the tests. It cannot tell which laws judge a *distribution*, with a tolerance of several
standard errors, so these are not counted. Their statements say so.

<p><label>Filter <input class="law-filter" type="search" placeholder="cache, guidance, mask ..."></label>
<output class="law-count"></output></p>
"""


def laws_page() -> str:
    """Return the page: all laws, file by file, each folded around its source."""
    found = {path: laws(path) for path in files()}
    lines = [INTRODUCTION.format(**_counted([law for held in found.values() for law in held]))]
    for path, held in found.items():
        lines += [f"## {title(path.stem.removeprefix('test_'))}", ""]
        lines += [f"`{path.relative_to(TESTS.parent)}`", "", *map(_shown, held), ""]
    return "\n".join(lines)


def _counted(found: list[Law]) -> dict[str, int]:
    """Return how many laws there are, and how many get their inputs in each of three ways."""
    drawn = sum("@given(" in law.source for law in found)
    listed = sum("@pytest.mark.parametrize(" in law.source and "@given(" not in law.source for law in found)
    return {"number": len(found), "drawn": drawn, "listed": listed, "fixed": len(found) - drawn - listed}


def _shown(law: Law) -> str:
    """Return one law as HTML. Mathematics and code are escaped, so that they appear as they are written."""
    why = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(law.why))
    head = f"{html.escape(law.sentence)}<br><code>{html.escape(law.statement)}</code> {why}"
    source = html.escape(law.source).replace("\n", "&#10;")
    return f'<details class="law" id="{law.name}"><summary>{head}</summary><pre><code>{source}</code></pre></details>\n'
