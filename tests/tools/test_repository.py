"""The README says what is so."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_has_two_commands_of_one_line_each():
    """One that makes pictures, one that passes the tests."""
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    assert [block.count("\n") for block in blocks] == [1, 1]
    assert "janus-minimal generate" in blocks[0]
    assert blocks[1].endswith("&& .venv/bin/pytest -n auto --dist loadfile\n")


def test_the_readmes_loop_is_the_source():
    """The loop is shown as it stands in denoise.py."""
    (shown,) = re.findall(r"```python\n(for index.*?)```", README, re.DOTALL)
    source = (ROOT / "janus_minimal" / "denoise.py").read_text(encoding="utf-8")
    assert "".join(f"    {line}\n" for line in shown.splitlines()) in source


def test_the_readmes_scores_are_those_that_were_measured():
    """Each category's score as `evaluate --json` wrote it."""
    report = json.loads((ROOT / "docs" / "evaluation.json").read_text(encoding="utf-8"))
    scores = {name: entry["score"] for name, entry in report["categories"].items()} | {"**overall**": report["overall"]}
    table = dict(re.findall(r"^\| (.*?) +\| (\d\.\d{3}) \|$", README, re.MULTILINE))
    assert table == {name: f"{score:.3f}" for name, score in scores.items()}


def test_what_is_shipped_is_small():
    """Model and VAE together are at most 12 MB."""
    files = [path for path in (ROOT / "janus_minimal" / "checkpoints").rglob("*") if path.is_file()]
    assert 0 < sum(path.stat().st_size for path in files) <= 12e6


def test_nothing_is_loaded_that_can_run_code():
    """No pickle, no code from a checkpoint."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "janus_minimal").rglob("*.py")]
    for word in ("trust_remote_" + "code", "import pick" + "le", "torch.load"):
        assert not [source for source in sources if word in source]
