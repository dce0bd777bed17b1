"""Several processes: what a command does with variables that name others."""

import pytest
import torch
from accelerate import Accelerator
from tools.launched import Launched

from janus_minimal.errors import InputError
from janus_minimal.runtime.processes import begin_together

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


@pytest.mark.parametrize("error", [ValueError("RANK expected\nbut not set"), RuntimeError("the port is taken")])
def test_whatever_accelerate_refuses_is_one_line(error):
    """kind(...) raises ValueError or RuntimeError  =>  InputError, which quotes it in one line.

    A variable that is missing is the first, processes that do not answer are the second.
    """

    def kind(cpu, **how):
        raise error

    said = r"accelerate cannot begin: (RANK expected but not set|the port is taken); expected"
    with pytest.raises(InputError, match=said):
        begin_together(kind, torch.device("cpu"))


@pytest.mark.parametrize("name", ["ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_MEGATRON_LM"])
def test_a_library_that_a_variable_asks_for_and_nobody_has_is_one_line(monkeypatch, name):
    """a variable of accelerate asks for a library that is not here  =>  InputError, which names the library.

    A shell in which another training was prepared still has the variable.
    """
    monkeypatch.setenv(name, "true")
    with pytest.raises(InputError, match=r"accelerate cannot begin: (DeepSpeed|Megatron) is not installed"):
        begin_together(Accelerator, torch.device("cpu"))
