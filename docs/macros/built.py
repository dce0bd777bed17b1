"""{{ built_from() }}: the commit that the site is built from. {{ bibtex() }}: how to cite it, with that commit."""

import subprocess
import tomllib

from macros.excerpts import ROOT

YEAR = 2026  # of the version that pyproject.toml names


def built_from() -> str:
    """The commit of the checkout and its date; nothing where the files lie in no checkout of their own."""
    if not (ROOT / ".git").exists():  # git would look further up, and find somebody else's
        return ""
    changed = ", with changes that are not committed" if _git("status", "--porcelain", "--untracked-files=no") else ""
    told = _git("show", "--no-patch", "--format=commit %h of %cs", "HEAD")
    return f"{told}{changed}" if told else ""


def _git(*arguments: str) -> str:
    """What git says, or nothing if it cannot be asked."""
    try:
        asked = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return asked.stdout.strip()


def bibtex() -> str:
    """An entry for this repository: version and, where it is known, commit."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    fields = {
        "title": r"janus\_minimal: JanusFlow's rectified-flow image generation, step by step",
        "author": r"{The janus\_minimal developers}",
        "year": f"{YEAR}",
        "version": project["version"],
        "note": built_from(),
        "license": project["license"],
    }
    lines = [f"  {name:<7} = {{{text}}}" for name, text in fields.items() if text]
    return "```bibtex\n@software{janus_minimal,\n" + ",\n".join(lines) + "\n}\n```"
