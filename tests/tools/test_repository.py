"""What README, constraints and package say about the repository is true."""

import json
import re
import tomllib
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_has_two_commands_of_one_line_each():
    """One command makes pictures, and one runs the tests."""
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    assert [block.count("\n") for block in blocks] == [1, 1]
    assert "janus-minimal generate" in blocks[0]
    assert blocks[1].endswith("&& .venv/bin/pytest -n auto --dist loadfile\n")
    assert all("pip install --quiet -c constraints.txt " in block for block in blocks)


def test_what_runs_apart_is_marked_slow():
    """`-m "not slow"` takes the place of the choice in pyproject.toml, and must leave out the same tests."""
    for path in (ROOT / "tests" / "tools").glob("test_*.py"):
        marks = re.findall(r"((?:@pytest\.mark\.\w+\n)+)", path.read_text(encoding="utf-8"))
        assert all("slow" in mark for mark in marks if "grader" in mark or "released" in mark), path.name


def test_the_readmes_loop_is_the_source():
    """The README shows the loop exactly as it stands in sampling.py."""
    (shown,) = re.findall(r"```python\n(for index.*?)```", README, re.DOTALL)
    source = (ROOT / "janus_minimal" / "sampling.py").read_text(encoding="utf-8")
    assert "".join(f"    {line}\n" for line in shown.splitlines()) in source


def test_the_readmes_scores_are_those_that_were_measured():
    """The scores in the README are those that `evaluate --json` wrote."""
    report = json.loads((ROOT / "docs" / "evaluation.json").read_text(encoding="utf-8"))
    scores = {name: entry["score"] for name, entry in report["categories"].items()} | {"**overall**": report["overall"]}
    table = dict(re.findall(r"^\| (.*?) +\| (\d\.\d{3}) \|$", README, re.MULTILINE))
    assert table == {name: f"{score:.3f}" for name, score in scores.items()}


def test_what_is_shipped_is_small():
    """Model and VAE together have at most 12 MB, and the student adds at most 8 MB."""
    for name, most in {"shapes": 12e6, "shapes-few": 8e6}.items():
        files = [path for path in (ROOT / "janus_minimal" / "checkpoints" / name).rglob("*") if path.is_file()]
        assert 0 < sum(path.stat().st_size for path in files) <= most


def test_nothing_is_loaded_that_can_run_code():
    """The package loads no pickle and no code from a checkpoint."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "janus_minimal").rglob("*.py")]
    for word in ("trust_remote_" + "code", "import pick" + "le", "torch.load"):
        assert not [source for source in sources if word in source]


def test_the_constraints_are_versions_that_the_package_allows():
    """constraints.txt pins every direct dependency to a version that pyproject.toml allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    for text in [*project["dependencies"], *chain(*project["optional-dependencies"].values())]:
        requirement = Requirement(text)
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, text


def test_every_dependency_is_used():
    """Each dependency is imported somewhere in the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {"pillow": "PIL", "huggingface-hub": "huggingface_hub"}
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "janus_minimal").rglob("*.py"))
    for text in project["dependencies"]:
        name = Requirement(text).name
        assert re.search(rf"^ *(from|import) {names.get(name, name)}\b", source, re.MULTILINE), name
