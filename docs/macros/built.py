"""{{ built_from() }}: the commit that the site is built from. {{ bibtex() }}: how to cite it, with that commit.

{{ what_to_cite() }}: where the pages come from, in words, and whether their commit may be cited.
"""

import subprocess
import tomllib

from macros.excerpts import ROOT

YEAR = 2026  # of the version that pyproject.toml names
ARCHIVED = "docs/macros/commit.txt"  # `git archive` writes the commit into it, as .gitattributes asks


def built_from() -> str:
    """The commit and its date, and whether files were changed after it; nothing where nobody knows the commit."""
    return _commit() + (", with changes that are not committed" if _changed() else "")


def what_to_cite() -> str:
    """Where the pages come from. If no commit holds them, what to do before their numbers are cited."""
    told = _commit()
    if not told:
        return (
            "These pages were built from files without a history, so they cannot name their commit. "
            "Ask whoever gave you the files for it."
        )
    if _changed():
        return (
            f"These pages were built from {told} **and changes that are not committed**. No commit holds them, so the "
            "entry names none. If you built them, commit the changes and build again before you cite a number. "
            "If somebody gave them to you, ask for the commit."
        )
    return f"These pages were built from **{told}**."


def _commit() -> str:
    """What git says of the checkout, or what an archive was told by the git that made it."""
    if (ROOT / ".git").exists():  # without it git would look further up, and find somebody else's
        return _git("show", "--no-patch", "--format=commit %h of %cs", "HEAD")
    archived = ROOT / ARCHIVED
    told = archived.read_text(encoding="utf-8").strip() if archived.exists() else ""
    return "" if told.startswith("$") else told


def _changed() -> bool:
    """Whether the checkout has files that differ from its commit."""
    return (ROOT / ".git").exists() and bool(_git("status", "--porcelain", "--untracked-files=no"))


def _git(*arguments: str) -> str:
    """What git says, or nothing if it cannot be asked."""
    try:
        asked = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return asked.stdout.strip()


def bibtex() -> str:
    """An entry for this repository: version and, where one holds these files, commit."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    fields = {
        "title": r"janus\_minimal: JanusFlow's rectified-flow image generation, step by step",
        "author": r"{The janus\_minimal developers}",
        "year": f"{YEAR}",
        "version": project["version"],
        "note": "" if _changed() else _commit(),
        "license": project["license"],
    }
    lines = [f"  {name:<7} = {{{text}}}" for name, text in fields.items() if text]
    return "```bibtex\n@software{janus_minimal,\n" + ",\n".join(lines) + "\n}\n```"
