"""The titles of the laws, which are made from names of Python, are written as prose is."""

import ast
import re
from pathlib import Path

import pytest
from tools.laws_page import LAWS, WRITTEN, laws_page, sentence

GLOSSARY = Path(__file__).parent.parent.parent / "docs" / "glossary.md"
TESTS = [
    node.name
    for path in sorted(LAWS.rglob("test_*.py"))
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
]
FILES = [path.stem for path in LAWS.rglob("test_*.py")]


def test_a_title_writes_a_name_as_the_glossary_does():
    """A word that the glossary writes with a capital inside, such as VAE, RoPE or AdamW, is so in every title."""
    headings = re.findall(r"^### (.*?) \{", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    written = {word.lower(): word for word in re.findall(r"[\w-]*\w[A-Z][\w-]*", " ".join(headings))}
    del written["film"]  # FiLM is a layer; the films of the laws are moving pictures
    assert {"vae": "VAE", "rope": "RoPE", "adamw": "AdamW", "u-vit": "U-ViT"}.items() <= written.items()
    titles = [sentence(test) for test in TESTS]
    assert not [
        title for title in titles for word in re.findall(r"[\w-]+", title) if written.get(word.lower(), word) != word
    ]


def test_what_is_somebodys_own_has_an_apostrophe():
    """A name has no apostrophe, so "the demos own" needs an entry in titles.toml."""
    assert not [title for title in map(sentence, TESTS) if re.search(r"\w(?<!\bit)s own\b", title)]


def test_code_is_shown_as_code():
    """The page of the laws is HTML: a backtick in it stands there as a backtick."""
    assert "`" not in "".join(re.findall(r"<summary>(.*?)</summary>", laws_page()))


@pytest.mark.parametrize("plain", WRITTEN)
def test_every_entry_of_the_table_is_in_use(plain):
    """An entry that stands in no name of a test, and in no name of a file, is left over from a test that is gone."""
    assert any(re.search(rf"\b{plain}\b", name.replace("_", " ")) for name in [*TESTS, *FILES])
