"""What one call on a machine with an accelerator does, tried without one."""

import sys
from pathlib import Path

from accelerator import jobs, numbers, run
from macros.accelerator import measured_there, told

SAYS = "import sys; print('a', file=sys.stderr); print('b'); sys.exit({})"


def test_a_job_that_fails_says_why_and_one_that_ends_says_what_it_printed():
    assert run("draw", [sys.executable, "-c", SAYS.format(0)], 60)["told"] == "b"
    failed = run("draw", [sys.executable, "-c", SAYS.format(3)], 60)
    assert (failed["passed"], failed["told"]) == (False, "b\na")


def test_a_training_that_is_stopped_has_done_what_it_should_and_nothing_else_has():
    slow = "import sys, time; print(' 7/100 [00:01<00:09, 2step/s]', file=sys.stderr, flush=True); time.sleep(60)"
    result = run("train", [sys.executable, "-c", slow], 1)
    assert numbers("train", result, Path()) == {"steps": 7}
    assert not run("laws", [sys.executable, "-c", slow], 1)["passed"]


def test_every_job_gets_the_device_and_the_stand_in_comes_first():
    planned = {name: command for name, command, _ in jobs(Path("folder"), "cuda:1", "released", 30)}
    assert next(iter(planned)) == "write the stand-in"
    assert all("cuda:1" in planned[name] for name in planned if name.startswith(("draw", "bench", "train")))
    assert set(planned) >= {"laws", "notebooks", "train", "bench, 1", "bench, 5", "draw, plain", "draw, compile"}


def test_the_page_names_the_card_the_times_and_what_failed():
    pictures = {f"{n}, second": {"seconds": float(n)} for n in (1, 5)}
    report = {"report": {"loops": {"ours": {"median": 12.3}}}}
    found = {name: {"passed": True} for name in ("laws", "notebooks", "train", "draw, compile")}
    found |= {"draw, plain": {"passed": True, "pictures": pictures}, "notebooks": {"passed": False}}
    found |= {f"bench, {n}": {"passed": True} | report for n in (1, 5)}
    page = told({"device": "A card", "torch": "2", "size": "released", "jobs": found})
    assert "on A card," in page
    assert "| a picture, plain | 1 s | 5 s |" in page
    assert "| one step | 12.3 ms | 12.3 ms |" in page
    assert "failed: notebooks." in page


def test_without_a_record_the_page_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("macros.accelerator.RECORD", tmp_path / "none.json")
    assert measured_there().startswith("Not measured")
