"""The sweep: what it measures is what it says, and nothing is measured twice or mixed."""

import inspect
import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
import warnings
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext, suppress
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from filelock import FileLock, Timeout
from safetensors.torch import load_file, save_file
from tools.launched import Launched
from tools.tour import forkserver

from janus_minimal import JanusFlowPipeline, PromptPair, time_grid
from janus_minimal.cli import main
from janus_minimal.errors import InputError
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.shapes import sweep as sweeps
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.evaluate import score_pipeline
from janus_minimal.shapes.sweep import (
    REFERENCE_STEPS,
    Run,
    Sample,
    Setting,
    Sweep,
    _exact,
    _start,
    begin_sweep,
    read_sweep,
    run_sweep,
    together_with,
)
from janus_minimal.solvers import SOLVERS

EULER = Setting(2, "euler", 2.0, 1.0)


@pytest.fixture(scope="module")
def sample(pipe):
    return Sample(pipe, captions=2, seed=3)


@pytest.fixture(scope="module")
def drawn(sample):
    """The latents of one setting."""
    return sample.draw(EULER)


@pytest.fixture
def sweep(monkeypatch, tmp_path, capsys):
    """Run the command in an empty directory: (status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("janus_minimal.shapes.sweep.get_context", lambda kind: forkserver())  # it has the libraries

    def sweep(*words):
        monkeypatch.setattr(sys, "argv", ["janus-minimal", "sweep", "--processes", "1", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code or 0, *capsys.readouterr()

    return sweep


def run_of(setting, seconds=1.0):
    return Run(setting, setting.evaluations, 0.5, dict.fromkeys(CATEGORIES, 0.5), 0.1, 0.1, seconds)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_setting_costs_what_its_solver_asks(name, pipe, monkeypatch):
    """Setting(S, solver).evaluations = how often the solver asks the network in S steps, for every solver.

    Solvers are compared at equal cost, so the cost must be the real one.
    """
    asked, decode = [], pipe.model.decode
    monkeypatch.setattr(pipe.model, "decode", lambda *given: asked.append(1) or decode(*given))
    prompt, z = PromptPair.from_text("a star", pipe.tokenizer), torch.zeros(1, 4, 12, 12)
    for _ in SOLVERS[name](pipe.model, prompt, z, time_grid(5), 2.0):
        pass
    assert Setting(5, name, 2.0, 1.0).evaluations == len(asked)


def test_the_scores_are_those_of_the_evaluation(sample, pipe):
    """Sample.measure(Euler, S, w, shift 1).categories = score_pipeline(S, w).scores, for the same captions and seed.

    Two commands that score one model must not disagree.
    """
    run = sample.measure(Setting(4, "euler", 2.0, 1.0), np.ones((14, 4, 12, 12), dtype=np.float32))
    expected = score_pipeline(pipe, 2, 4, 2.0, 3)
    assert run.categories == {name: part.share for name, part in expected.categories.items()}
    assert run.overall == pytest.approx(expected.overall)


def test_the_distance_is_zero_at_the_exact_latent_and_relative_elsewhere(sample, drawn, monkeypatch):
    """measure(setting, its own latents): distance 0; half of these: 1; one picture elsewhere: a mean, no median.

    |z - z*| / |z*| is taken for each picture, and then over all.
    """
    monkeypatch.setattr(sample, "draw", {EULER: drawn}.__getitem__)
    z = torch.cat(list(drawn.values())).numpy()
    same, half = (sample.measure(EULER, exact) for exact in (z, z / 2))
    assert (same.distance, same.median) == (0, 0)
    assert half.distance == pytest.approx(1)
    z[0] = z[0] / 15  # |z - z / 15| / |z / 15| = 14, the mean of 14 pictures is 1
    one = sample.measure(EULER, z)
    assert one.distance == pytest.approx(1, rel=1e-5)
    assert one.median == 0


def test_the_seconds_are_those_of_one_picture(sample, monkeypatch):
    """seconds = processor time of drawing / number of pictures.

    It must not depend on how many captions a sweep has.
    """
    monkeypatch.setattr("time.process_time", iter([10.0, 17.0]).__next__)
    assert sample.measure(EULER, np.ones((14, 4, 12, 12), dtype=np.float32)).seconds == 0.5


def test_the_exact_flow_is_many_uniform_midpoint_steps(sample):
    """_exact(w, S) = S midpoint steps at weight w and shift 1, of all captions.

    All settings are compared with it, so it must not favour one of their grids.
    """
    exact = _exact(("shapes", 2, 3), 1.5, 2)
    expected = torch.cat(list(sample.draw(Setting(2, "midpoint", 1.5, 1.0)).values()))
    np.testing.assert_allclose(exact, expected.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("change", [{"solver": "heun"}, {"cfg_weight": 3.0}, {"shift": 3.0}, {"steps": 3}])
def test_every_part_of_a_setting_reaches_the_loop(sample, drawn, change):
    """draw(setting) != draw(changed setting), for the same noises.

    A value that is read and not used would give a flat and wrong curve.
    """
    first, second = (latents["colours"] for latents in (drawn, sample.draw(replace(EULER, **change))))
    assert not torch.isclose(first, second, atol=1e-4).flatten(1).all(dim=1).any()


def test_a_sweep_continues_and_grows(sweep):
    """run_sweep(1, 2 steps) of a report that holds 1 step measures 2 steps only; then the command measures nothing.

    Hours of work must not be lost, and what has been measured stays as it was.
    """
    known, new = Setting(1, "euler", 1.0, 1.0), Setting(2, "euler", 1.0, 1.0)
    begun = begin_sweep("shapes", 1, 0)
    before = replace(begun, reference_steps=2, runs={str(known): run_of(known, seconds=123.0)})
    (after,) = run_sweep(before, [known, new, known, new], processes=1)
    assert list(after.runs) == ["1 euler, w = 1, shift 1", "2 euler, w = 1, shift 1"]
    assert after.runs[str(known)] == before.runs[str(known)]
    run = after.runs[str(new)]
    assert set(run.categories) == set(CATEGORIES)
    assert 0 < run.distance < 2
    assert run.seconds > 0
    text = json.dumps(asdict(replace(after, reference_steps=REFERENCE_STEPS)))
    Path("sweep.json").write_text(text)
    words = ("--solver", "euler", "--cfg-weight", 1, "--shift", 1, "--captions", 1, "--steps", 1, "--steps", 2)
    status, out, _ = sweep(*words)
    assert status == 0
    assert "| 2 | euler | 1 | 1 | 2 |" in out
    assert Path("sweep.json").read_text() == text


class AtOnce:
    """A pool that computes in this process, at once."""

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future


def test_each_setting_is_compared_with_the_exact_flow_of_its_own_weight(monkeypatch):
    """run_sweep: the setting that is the reference has the distance 0, for every weight.

    The exact flows of two weights end at different pictures, and an error of 0.5 would be taken for the solver's.
    """
    monkeypatch.setattr("janus_minimal.shapes.sweep._pool", lambda processes: nullcontext(AtOnce()))
    settings = [Setting(1, "midpoint", weight, 1.0) for weight in (1.0, 3.0)]
    *_, report = run_sweep(Sweep("shapes", "f", 1, 0, reference_steps=1), settings, processes=1)
    assert [report.runs[str(setting)].distance for setting in settings] == pytest.approx([0, 0], abs=1e-4)


def test_a_sweep_measures_the_checkpoint_the_captions_and_the_seed_that_it_reports(monkeypatch, pipe):
    """run_sweep(report): exact flows and settings of report.checkpoint, report.captions and report.seed.

    The head of a report would else name one model, and the numbers below it be those of another one.
    """
    asked, report = [], Sweep("mine", "f", 3, 5, reference_steps=7)
    monkeypatch.setattr("janus_minimal.shapes.sweep._pool", lambda processes: nullcontext(AtOnce()))
    monkeypatch.setattr("janus_minimal.shapes.sweep._exact", lambda *given: asked.append(given) or "the end")
    monkeypatch.setattr("janus_minimal.shapes.sweep._measure", lambda *given: asked.append(given) or run_of(given[1]))
    list(run_sweep(report, [EULER], processes=1))
    assert asked == [(("mine", 3, 5), 2.0, 7), (("mine", 3, 5), EULER, "the end")]
    loaded = []
    sweeps._sample.cache_clear()
    monkeypatch.setattr(JanusFlowPipeline, "from_pretrained", lambda *given, **_: loaded.append(given) or pipe)
    sample = sweeps._sample("mine", 3, 5)
    assert sweeps._sample("mine", 3, 5) is sample  # a process loads once for all its settings
    assert loaded == [("mine",)]
    assert (sample.seed, {len(captions) for captions in sample.captions.values()}) == (5, {3})


def test_a_sweep_starts_as_many_processes_as_it_is_told_and_prepares_each(monkeypatch):
    """run_sweep(..., processes=k): a pool of k new processes, each of which runs _start first.

    Each process holds a model. Without _start it would compute on all cores, and outlive a sweep that is killed.
    """
    begun = []

    class Pool(AtOnce):
        def __init__(self, *given, **named):
            begun.append(inspect.signature(ProcessPoolExecutor).bind(*given, **named).arguments)

        def shutdown(self, **_):
            pass

    monkeypatch.setattr("janus_minimal.shapes.sweep.ProcessPoolExecutor", Pool)
    monkeypatch.setattr("janus_minimal.shapes.sweep._exact", lambda *_: None)
    monkeypatch.setattr("janus_minimal.shapes.sweep._measure", lambda *given: run_of(given[1]))
    list(run_sweep(replace(KEPT, runs={}), [EULER], processes=3))
    ((context, start, number),) = [(a["mp_context"], a["initializer"], a["max_workers"]) for a in begun]
    assert (number, context.get_start_method(), start) == (3, "spawn", _start)


@pytest.mark.parametrize(("solver", "evaluations"), [("euler", 5), ("midpoint", 10), ("heun", 10)])
def test_a_run_holds_its_setting_and_what_it_costs(sample, monkeypatch, solver, evaluations):
    """measure(S steps of a solver): that setting, and NFE = S times the evaluations of a step.

    With S in place of the NFE, midpoint and Heun would seem half as dear as they are.
    """
    z = torch.ones(2, 4, 12, 12)
    monkeypatch.setattr(sample, "draw", lambda setting: dict.fromkeys(CATEGORIES, z))
    monkeypatch.setattr(sample, "_score", lambda name, z: 0.5)
    setting = Setting(5, solver, 2.0, 1.0)
    run = sample.measure(setting, np.ones((14, 4, 12, 12), dtype=np.float32))
    assert (run.setting, run.evaluations, run.overall, run.distance) == (setting, evaluations, 0.5, 0)


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"cfg_weight": float("inf")}, {"cfg_weight": float("nan")}, {"shift": 0.0}, {"solver": "rk45"}],
)
def test_one_wrong_setting_stops_a_sweep_before_its_first_process(monkeypatch, tmp_path, wrong):
    """run_sweep([right, wrong]): InputError before there is a pool; a report that holds the wrong one is refused.

    Left to a process, it would be found after hours of other settings.
    """
    monkeypatch.setattr("janus_minimal.shapes.sweep._pool", lambda processes: pytest.fail("a pool was made"))
    bad = replace(EULER, **wrong)
    with pytest.raises(InputError, match="expected"):
        list(run_sweep(replace(KEPT, runs={}), [EULER, bad], processes=1))
    path, run = tmp_path / "sweep.json", replace(run_of(EULER), setting=bad)
    path.write_text(json.dumps(asdict(replace(KEPT, runs={str(bad): run}))))
    with pytest.raises(InputError, match="expected another --json"):
        read_sweep(path, replace(KEPT, runs={}))


def test_settings_that_differ_have_different_names():
    """str(a) = str(b)  <=>  a = b: also for weights and shifts that agree in six digits.

    The report keeps one run for each name. The run of the second setting would replace that of the first.
    """
    near = [replace(EULER, cfg_weight=2.0000001), replace(EULER, shift=1.0000001), replace(EULER, cfg_weight=1e-9)]
    assert [str(setting) for setting in (EULER, *near)] == [
        "2 euler, w = 2, shift 1",
        "2 euler, w = 2.0000001, shift 1",
        "2 euler, w = 2, shift 1.0000001",
        "2 euler, w = 1e-09, shift 1",
    ]
    assert KEPT.missing([EULER, *near]) == near


def test_the_table_shows_the_numbers_of_each_run():
    """a row: steps, solver, w, shift, NFE, mean score, mean distance, seconds of a picture.

    The median and the scores of the categories are in the file alone.
    """
    setting = Setting(3, "heun", 1.5, 2.0)
    run = Run(setting, 6, 0.25, dict.fromkeys(CATEGORIES, 0.75), distance=0.125, median=0.5, seconds=2.0625)
    head, line, row = Sweep("shapes", "f", 8, 0, runs={str(setting): run}).to_table().splitlines()
    assert head == "| steps | solver | w | shift | NFE | score | distance | seconds |"
    assert len(line.split("|")) == len(head.split("|"))
    assert row == "| 3 | heun | 1.5 | 2 | 6 | 0.250 | 0.125 | 2.062 |"


def test_a_process_that_is_killed_is_one_line(monkeypatch):
    """a process of the pool dies  =>  InputError, which says what continues the sweep.

    The system kills a process when the memory ends, and the pool only says that it is broken.
    """
    pool = Mock(submit=Mock(side_effect=BrokenProcessPool))
    monkeypatch.setattr("janus_minimal.shapes.sweep._pool", lambda processes: nullcontext(pool))
    with pytest.raises(InputError, match=r"was killed: expected memory.* fewer --processes continues"):
        list(run_sweep(replace(KEPT, runs={}), [EULER], processes=2))


def test_a_process_of_a_sweep_computes_on_one_core(monkeypatch):
    """_start: one thread, SIGINT ignored.

    Processes of many threads each would wait for each other, and their seconds would not be those of one core.
    """
    done = []
    monkeypatch.setattr(torch, "set_num_threads", lambda number: done.append(number))
    monkeypatch.setattr(signal, "signal", lambda *given: done.append(given))
    _start()
    assert sorted(done, key=str) == [(signal.SIGINT, signal.SIG_IGN), 1]


KEPT = Sweep("shapes", "0123456789abcdef", 8, 0, runs={str(EULER): run_of(EULER)})


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"checkpoint": "mine"}, "checkpoint 'shapes', not 'mine'"),
        ({"model": "f" * 16}, "model '0123456789abcdef', not 'ffffffffffffffff'"),
        ({"captions": 9}, "captions 8, not 9"),
        ({"seed": 1}, "seed 0, not 1"),
        ({"reference_steps": 80}, "reference steps 40, not 80"),
    ],
)
def test_a_sweep_of_something_else_is_refused_by_name(tmp_path, other, named):
    """read_sweep(file of another checkpoint, model, captions, seed, reference)  =>  InputError, which names it.

    Scores of different captions in one table would compare captions, not settings.
    """
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(asdict(KEPT)))
    new = replace(KEPT, runs={})
    assert read_sweep(path, new) == KEPT
    with pytest.raises(InputError, match=f"holds a sweep with the {named}: expected the same"):
        read_sweep(path, replace(new, **other))


def test_a_sweep_knows_its_model_by_its_weights(tmp_path):
    """begin_sweep(path) after its weights changed  !=  before; its model is the album's.

    A directory keeps its name while a model is trained in it.
    """
    shutil.copytree(BUNDLED / "shapes", tmp_path / "mine")
    before, again = begin_sweep(str(tmp_path / "mine"), 8, 0), begin_sweep(str(tmp_path / "mine"), 8, 0)
    weights = load_file(tmp_path / "mine" / "model.safetensors")
    first = min(weights)
    weights[first] = weights[first] + 1
    save_file(weights, tmp_path / "mine" / "model.safetensors")
    assert before == again
    assert begin_sweep(str(tmp_path / "mine"), 8, 0).model != before.model


def test_what_is_no_sweep_is_refused(tmp_path):
    """A FIFO, half a file, another report, a run under another name  =>  InputError that asks for another --json.

    The file would be replaced by the report, and its content lost.
    """
    whole = json.dumps(asdict(KEPT))
    os.mkfifo(tmp_path / "fifo.json")
    texts = {"half": whole[:60], "other": '{"overall": 1.0}', "runs": whole.replace("2.0", '"two"')}
    texts |= {"name": whole.replace("w = 2,", "w = 3,"), "solver": whole.replace("euler", "\\u001b[31m")}
    for name, text in texts.items():
        (tmp_path / f"{name}.json").write_text(text)
    for path in tmp_path.iterdir():
        with pytest.raises(InputError, match=r"expected .*another --json"):
            read_sweep(path, replace(KEPT, runs={}))


def changed_run(**values):
    return lambda report: report["runs"][str(EULER)].update(values)


@pytest.mark.parametrize(
    "change",
    [
        lambda report: report.update(note="before the repair"),
        changed_run(note="before the repair"),
        *(changed_run(**values) for values in ({"overall": 7.0}, {"evaluations": 99}, {"overall": float("nan")})),
        changed_run(categories=dict.fromkeys(CATEGORIES, 0.25)),
        changed_run(categories={}),
        changed_run(seconds="1.0"),
    ],
)
def test_a_sweep_that_somebody_changed_is_refused(tmp_path, change):
    """a report with a note, a score that is not the mean of its categories, another cost, ...  =>  InputError.

    What sweep did not measure would stand in the table, and what it does not know would be lost when it writes.
    """
    report = asdict(KEPT)
    change(report)
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(report))
    with pytest.raises(InputError, match=r"sweep\.json holds no sweep: .*expected another --json"):
        read_sweep(path, replace(KEPT, runs={}))


def test_the_sweeps_in_the_docs_are_still_read():
    """read_sweep(docs/sweep.json) = what it holds.

    Its scores stand in the chapters, and a sweep of other settings adds to it.
    """
    path = Path(__file__).parents[3] / "docs" / "sweep.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    assert asdict(read_sweep(path, Sweep(**raw | {"runs": {}}))) == raw


def test_two_sweeps_into_one_file_keep_the_runs_of_both(tmp_path):
    """together_with(file, report).runs = runs of the file and of the report; a file of another sweep: InputError.

    Each sweep writes the whole report. The last one to write would lose the runs of the other.
    """
    other = replace(EULER, steps=3)
    ours, theirs = (replace(KEPT, runs={str(s): run_of(s)}) for s in (EULER, other))
    path = tmp_path / "sweep.json"
    assert together_with(path, ours) == ours
    path.write_text(json.dumps(asdict(theirs)))
    assert together_with(path, ours).runs == theirs.runs | ours.runs
    later = replace(theirs, runs={str(other): run_of(other, seconds=7.0)})
    assert together_with(path, later) == later  # what was measured here is what was shown here
    with pytest.raises(InputError, match="captions 8, not 9"):
        together_with(path, replace(ours, captions=9))


def test_the_working_folder_is_not_where_a_process_looks_for_python(tmp_path, monkeypatch):
    """run_sweep beside a file pickle.py = one without; at every yield the variables are as before it.

    multiprocessing begins a process by `python -c`, which looks in the working folder before all others. Whoever reads
    a report may begin processes of another kind, or change the variable.
    """
    (tmp_path / "pickle.py").write_text('raise SystemExit("not Python\'s own")')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    before = dict(os.environ)
    runs = run_sweep(Sweep("shapes", "f", 1, 0, reference_steps=1), [Setting(1, "euler", 1.0, 1.0)], processes=1)
    assert list(next(runs).runs) == ["1 euler, w = 1, shift 1"]
    assert dict(os.environ) == before
    assert list(runs) == []


def test_a_variable_that_is_gone_meanwhile_stays_gone(monkeypatch):
    """_safe_path: afterwards PYTHONSAFEPATH is as before, also if it was deleted meanwhile.

    Another thread may restore all variables. That is no reason to lose a sweep.
    """
    for before in (None, "here"):
        monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
        if before:
            monkeypatch.setenv("PYTHONSAFEPATH", before)
        with sweeps._safe_path():
            assert os.environ.pop("PYTHONSAFEPATH") == "1"
        assert os.environ.get("PYTHONSAFEPATH") == before


def test_a_sweep_holds_its_file_from_reading_to_writing(sweep, monkeypatch):
    """sweep: nobody else can hold --json while it reads the file and writes it again; afterwards everybody can.

    A run that another sweep writes in between would be lost.
    """
    held = []

    def free():
        with suppress(Timeout), FileLock(".sweep.json.lock", timeout=0):
            return True

    monkeypatch.setattr(sweeps, "begin_sweep", lambda *_: replace(KEPT, runs={}))
    monkeypatch.setattr(sweeps, "run_sweep", lambda *_: iter([KEPT]))
    monkeypatch.setattr(sweeps, "together_with", lambda path, report: held.append(not free()) or report)
    monkeypatch.setattr("janus_minimal.cli.sweep.write_json", lambda *_: held.append(not free()))
    assert sweep()[0] == 0
    assert held == [True, True]
    assert free()


@pytest.mark.parametrize(
    "wrong", [("--steps", 0), ("--solver", "rk45"), ("--cfg-weight", "nan"), ("--cfg-weight", "inf")]
)
def test_a_setting_that_cannot_be_drawn_is_refused(sweep, wrong, tmp_path):
    """steps < 1, an unknown solver, a weight that is not finite: status 2, one line, no report.

    Nothing should be measured for hours beside a value that fails at the end.
    """
    status, out, err = sweep("--captions", 1, *wrong)
    assert (status, out) == (2, "")
    assert "expected" in err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_is_not_there_is_named(sweep):
    """sweep --checkpoint nosuch  =>  one line that names it, and status 2.

    It is loaded before the first process begins, since the report says which model it is of.
    """
    status, _, error = sweep("--checkpoint", "nosuch/anywhere/at-all", "--steps", 1, "--solver", "euler", "--shift", 1)
    assert status == 2
    assert "nosuch/anywhere/at-all" in error
    assert "memory" not in error


def test_a_process_of_a_sweep_does_not_repeat_a_warning(monkeypatch):
    """warnings in a process of the pool: none, as the command has said them when it loaded the checkpoint.

    They would come once for each process, in Python's form, with a line of our code.
    """
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with warnings.catch_warnings(record=True) as said:
        _start()
        warnings.warn("config.json: x is not known here", stacklevel=1)
    assert said == []


def wait_for_nothing(pipe):
    """Be a process of a pool whose parent is killed."""
    _start()
    pipe.send(os.getpid())
    threading.Event().wait()


def begin_and_be_killed(pipe):
    get_context("fork").Process(target=wait_for_nothing, args=(pipe,)).start()
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_sweep_leaves_no_process_behind():
    """kill -9 of a sweep  =>  its processes end as well.

    The queue of a pool is held open by the pool's own processes. Each would wait for ever, with a model in memory.
    """
    ours, theirs = multiprocessing.Pipe()
    begun = get_context("fork").Process(target=begin_and_be_killed, args=(theirs,))
    begun.start()
    theirs.close()
    begun.join()
    assert ours.poll(60)
    ours.recv()
    assert ours.poll(60)  # the pipe is closed: the last process that held it has ended
    with pytest.raises(EOFError):
        ours.recv()


@pytest.mark.slow
def test_whoever_leaves_a_sweep_does_not_wait_for_what_is_queued(tmp_path):
    """Ctrl-C in a sweep of many settings  =>  it ends once the running ones have ended.

    A default sweep computes for twenty minutes, and nobody waits so long for Ctrl-C.
    """
    words = ["sweep", "--processes", "1", "--captions", "1", "--json", "sweep.json", *["--cfg-weight", "1"]]
    many = [word for steps in range(1, 60) for word in ("--steps", str(steps))]
    command = Launched(tmp_path, *words, *many, first=fork_the_pool)
    while not (tmp_path / "sweep.json").exists() and command.runs:
        time.sleep(0.1)
    before = len(json.loads((tmp_path / "sweep.json").read_text())["runs"])
    command.send(signal.SIGINT)
    command.wait()
    assert len(json.loads((tmp_path / "sweep.json").read_text())["runs"]) < before + 30


def fork_the_pool() -> None:
    """Let the processes of a sweep be forks of this one, which has the libraries."""
    sweeps.get_context = lambda kind: multiprocessing.get_context("fork")
