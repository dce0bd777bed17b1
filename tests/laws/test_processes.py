"""Several processes: what a command does with variables that name others."""

import pytest
from tools.launched import Launched

COMMANDS = [("train", "--out", "run"), ("reflow", "--out", "run"), ("generate", "--prompts", "prompts.txt")]


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_processes_that_nobody_started_are_named(tmp_path, words):
    """WORLD_SIZE = 2 left over in the environment, and no address  =>  one line that names the variables, no folder.

    A cluster sets such variables, and whoever begins a command alone there meets them.
    """
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a star\n", encoding="utf-8")
    left_over = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}
    done = Launched(tmp_path, *words, "--device", "cpu", **left_over).wait()
    assert done.returncode == 2
    assert "accelerate cannot begin" in done.stderr.splitlines()[-1]
    assert "WORLD_SIZE" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == [prompts]
