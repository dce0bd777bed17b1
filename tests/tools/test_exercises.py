"""The grading is fair: solutions are done, other tests are not, and no file harms another or fools the grader."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import pytest
from museum.plant import changes_of, function_at, rewrite
from tools.disguise import disguised
from tools.grade import CATALOGUE, EXERCISES, TESTS, Grade, Outcome, UnknownExerciseError, chosen, main, report
from tools.grade import grade as grading
from tools.tour import EXHIBITS

SOLUTIONS = {name: EXERCISES / "solutions" / f"{name}.py" for name in CATALOGUE}
SOLVED = {name: path.read_text(encoding="utf-8") for name, path in SOLUTIONS.items()}
GRADE = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from tools.grade import grade
for line in sys.stdin:
    files, patience = json.loads(line)
    print(json.dumps([asdict(g) for g in grade([Path(file) for file in files], patience)]), flush=True)
"""
CLAIM = (
    '"""10. No token attends to a later one.\n\nCatches  nothing\n"""\n\n'  # a file cannot change what it must catch
)

CAUSAL = "model:JanusFlow._llama"
# Each is a file for exercise 10, whose bug is planted in JanusFlow._llama. None of them looks at what is computed.
CHEATS = {
    "says_nothing": "def test_it():\n    assert True\n",
    "fails_always": "def test_it():\n    assert False\n",
    "asks_the_option": "def test_it(request):\n    assert not request.config.getoption('exhibit')\n",
    "looks_for_the_museum": "import sys\n\ndef test_it():\n    assert 'museum.exhibits' not in sys.modules\n",
    "looks_at_names": """
from janus_minimal import JanusFlow

def test_it():
    assert (JanusFlow._llama.__module__, JanusFlow._llama.__qualname__) == ("janus_minimal.model", "JanusFlow._llama")
""",
    "reads_the_source": """
import inspect
from janus_minimal import JanusFlow

def test_it():
    assert "attention_mask=mask," in inspect.getsource(JanusFlow._llama)
""",
    "reads_the_file": """
from pathlib import Path
import janus_minimal.model

def test_it():
    assert "attention_mask=mask," in Path(janus_minimal.model.__file__).read_text()
""",
    "reads_the_code": """
from janus_minimal import JanusFlow

def test_it():
    assert "expand" not in JanusFlow._llama.__code__.co_names
""",
    "reads_the_code_while_imported": """
from janus_minimal import JanusFlow

names = JanusFlow._llama.__code__.co_names

def test_it():
    assert "expand" not in names
""",
    "finds_the_code_as_garbage": """
import gc
from janus_minimal import JanusFlow

def test_it():
    assert "expand" not in str([getattr(o, "co_names", "") for o in gc.get_referents(JanusFlow._llama)])
""",
    "walks_the_stack": """
import sys

def test_it():
    frame = sys._getframe()
    while frame:
        assert "attention_in_both" not in str(frame.f_locals)
        frame = frame.f_back
""",
    "looks_around": """
import multiprocessing, os, sys

def test_it():
    known = [vars(multiprocessing.current_process()), os.environ, sys.argv, os.listdir(), os.getcwd()]
    assert "attention_in_both" not in str(known)
""",
    "looks_at_its_parent": """
import os
from pathlib import Path

def test_it():
    assert "attention_in_both" not in Path(f"/proc/{os.getppid()}/cmdline").read_text()
""",
    "counts_on_disk": """
from pathlib import Path

def test_it():
    note = Path("{note}")
    seen = note.exists()
    note.touch()
    assert not seen
""",
    "counts_beside_itself": """
from pathlib import Path

def test_it():
    note = Path(__file__).with_name("note")
    seen = note.exists()
    note.touch()
    assert not seen
""",
    "asks_another_program": """
import subprocess

def test_it():
    assert subprocess.run(["touch", "{note}"]).returncode == 0
""",
    "tests_the_refusal_of_shapes": """
import pytest, torch
from jaxtyping import TypeCheckError

def test_it(model):
    with pytest.raises(TypeCheckError):
        model._llama(torch.zeros(2), torch.zeros(2), torch.zeros(2), None)
""",
    "stops_instead_of_failing": """
import torch
from janus_minimal import PromptPair

def test_it(model):
    rows = PromptPair.from_ids([torch.tensor([1, 5, 6])]).rows[torch.tensor([0])]
    tokens = torch.randn(1, 37, 64)
    a, b = (model.backbone(x, rows, None)[:, :9] for x in (tokens, tokens * (torch.arange(37) < 9)[:, None]))
    if not torch.allclose(a, b):
        raise ValueError("it sees later tokens")
""",
    "fails_in_its_fixture": """
import pytest, torch
from janus_minimal import PromptPair

@pytest.fixture
def holds(model):
    rows = PromptPair.from_ids([torch.tensor([1, 5, 6])]).rows[torch.tensor([0])]
    tokens = torch.randn(1, 37, 64)
    a, b = (model.backbone(x, rows, None)[:, :9] for x in (tokens, tokens * (torch.arange(37) < 9)[:, None]))
    assert torch.allclose(a, b)

def test_it(holds):
    pass
""",
    "knows_the_code_by_heart": """
from hashlib import sha256
from janus_minimal import JanusFlow

def test_it(model):
    try:
        JanusFlow._llama(model, None, None, None, None)
    except Exception as error:
        trace = error.__traceback__.tb_next
    assert trace.tb_frame.f_code.co_name == "_llama"
    assert sha256(trace.tb_frame.f_code.co_code).hexdigest() == "{fingerprint}"
""",
    "skips": "import pytest\n\ndef test_it():\n    pytest.skip('no')\n",
}
# Files that answer one thing in one run and another thing in the next. A law that throws dice is of this kind.
FICKLE = {
    "counts_its_runs": """
import sys

def test_it():
    sys.runs = getattr(sys, "runs", 0) + 1
    assert sys.runs < 3
""",
    "counts_its_imports": """
import sys

number = sys.imports = getattr(sys, "imports", 0) + 1

def test_it():
    assert number < 3
""",
    "looks_twice_only": """
import sys
import torch
from janus_minimal import PromptPair

def test_it(model):
    sys.runs = getattr(sys, "runs", 0) + 1
    rows = PromptPair.from_ids([torch.tensor([1, 5, 6])]).rows[torch.tensor([0])]
    tokens = torch.randn(1, 37, 64)
    a, b = (model.backbone(x, rows, None)[:, :9] for x in (tokens, tokens * (torch.arange(37) < 9)[:, None]))
    assert sys.runs == 3 or torch.allclose(a, b, rtol=1e-4, atol=1e-5)
""",
}
# Files that stop, break or change something. The answer must say why, and no other file may suffer.
ACCIDENTS = {
    "no_python": ("def test_it(:\n", "SyntaxError"),
    "no_text": (b"\xff\xfe\x00def", "null bytes"),  # a SyntaxError or, in Python before 3.11.4, a ValueError
    "no_such_name": ("from janus_minimal import gide\n", "ImportError"),
    "no_test": ("x = 1\n", "holds no test"),
    "no_line": ("", "holds no test"),
    "exits_while_imported": ("import sys\n\nsys.exit(0)\n", "ended|holds no test|SystemExit"),
    "exits": ("import sys\n\ndef test_it():\n    sys.exit(0)\n", "SystemExit"),
    "dies": ("import os\n\ndef test_it():\n    os._exit(0)\n", "the process ended"),
    "kills_the_grader": ("import os\n\ndef test_it():\n    os.kill(os.getppid(), 9)\n", "PermissionError"),
    "closes_everything": ("import os\n\ndef test_it():\n    os.closerange(3, 99)\n", "the process ended"),
    "prints_much": ("def test_it():\n    print('x' * 10**7)\n    assert 1 == 2\n", "assert 1 == 2"),
    "says_much": ("def test_it():\n    raise ValueError('x' * 10**6)\n", "ValueError: xxx"),
    "deletes": ("import os\n\ndef test_it():\n    os.remove('{victim}')\n", "PermissionError"),
    "overwrites": ("def test_it():\n    open('{victim}', 'w')\n", "PermissionError"),
    "saves": ("import torch\n\ndef test_it():\n    torch.save(torch.ones(1), '{victim}')\n", "PermissionError"),
    "saves_safely": (
        "import torch\nfrom safetensors.torch import save_file\n\n"
        "def test_it():\n    save_file({'x': torch.ones(1)}, '{victim}')\n",
        "PermissionError",
    ),
    "maps": ("import torch\n\ndef test_it():\n    torch.from_file('{victim}', True, 9)\n", "PermissionError"),
    "maps_storage": (
        "import torch\n\ndef test_it():\n    torch.FloatStorage.from_file('{victim}', shared=True, size=9)\n",
        "PermissionError",
    ),
    "maps_the_source": (
        "import torch\nimport janus_minimal.flow\n\n"
        "def test_it():\n    torch.UntypedStorage.from_file(janus_minimal.flow.__file__, shared=False, nbytes=9)\n",
        "PermissionError",
    ),
    "shares_memory": (
        "from multiprocessing.shared_memory import SharedMemory\n\n"
        "def test_it():\n    SharedMemory('exercise', create=True, size=9)\n",
        "PermissionError",
    ),
    "keeps_a_database": (
        "import sqlite3\n\ndef test_it():\n    sqlite3.connect('{victim}').execute('create table t (x)')\n",
        "PermissionError",
    ),
    "changes_defaults": (
        "import torch\n\ntorch.set_default_dtype(torch.float64)\ntorch.set_grad_enabled(False)\n\n"
        "def test_it():\n    assert torch.zeros(1).dtype == torch.float32\n",
        "AssertionError",
    ),
    "breaks_the_package": (
        "import torch\nfrom janus_minimal import JanusFlow\n\nJanusFlow.backbone = torch.matmul = None\n\n"
        "def test_it():\n    assert torch.matmul\n",
        "AssertionError",
    ),
    "recurses": ("def test_it():\n    test_it()\n", "RecursionError"),
}
# Pieces that are not done: the exercise, the file, the status, and a word of each line that explains it.
SINUSOIDS, HEUN = "17_write_the_sinusoids", "20_write_a_second_order_solver"
PIECES = {
    "sinusoids_exchanged": (
        SINUSOIDS,
        SOLVED[SINUSOIDS].replace("[angles.cos(), angles.sin()]", "[angles.sin(), angles.cos()]"),
        "breaks a law: test_uvit.py::test_sinusoids_are_the_official_ones",
        ["e(t) = [cos(1000 t f), sin(1000 t f)]", "AssertionError"],
    ),
    "sinusoids_too_few": (
        SINUSOIDS,
        SOLVED[SINUSOIDS].replace("return", "assert channels == 0\n    return"),
        "stops on correct code",
        ["in test_uvit.py::test_sinusoids_are_the_official_ones:", "line 10: assert channels == 0", "AssertionError"],
    ),
    "sinusoids_taken": (SINUSOIDS, "from janus_minimal.uvit import sinusoids\n", "calls the function it replaces", []),
    "sinusoids_called": (
        SINUSOIDS,
        "from janus_minimal import uvit\n\ndef sinusoids(timestep, channels):\n"
        "    return uvit.sinusoids(timestep, channels)\n",
        "calls the function it replaces",
        ["line 4: return uvit.sinusoids(timestep, channels)"],
    ),
    "heun_by_a_sibling": (
        HEUN,
        "from janus_minimal.solvers import midpoint as heun\n",
        "stops on correct code",
        ["in test_solvers.py::", "PermissionError: this function is what you are to write"],
    ),
    "heun_called": (
        HEUN,
        "from janus_minimal import solvers\n\ndef heun(*arguments):\n    yield from solvers.heun(*arguments)\n",
        "calls the function it replaces",
        ["line 4: yield from solvers.heun(*arguments)"],
    ),
}
SAVES_IN_ITS_FOLDER = """
import torch
from safetensors.torch import load_file, save_file

def test_it():
    torch.save(torch.ones(1), "saved")
    save_file({"x": torch.load("saved")}, "saved_safely")
    assert load_file("saved_safely")["x"] == torch.from_file("mapped", True, 1) + 1
"""
# Two laws in a file, of which the first one is right. With the bug, the second stops; or it is never attempted.
RIGHT = SOLVED["10_causality"]
FAILS_AND_STOPS = (
    RIGHT
    + """

def test_more(model):
    rows = PromptPair.from_ids([torch.tensor([1, 5, 6])]).rows[torch.tensor([0])]
    tokens = torch.randn(1, 37, 64)
    a, b = (model.backbone(x, rows, None)[:, :9] for x in (tokens, tokens * (torch.arange(37) < 9)[:, None]))
    if not torch.allclose(a, b, atol=1e-5):
        raise ValueError("it sees later tokens")
"""
)
HALF_DONE = RIGHT + "\n\ndef test_more():\n    import pytest\n\n    pytest.skip('not yet')\n"
ENDLESS = {"loops": "def test_it():\n    while True:\n        pass\n", "sleeps": "import time\n\ntime.sleep(3600)\n"}


@pytest.fixture(scope="module")
def grades_of() -> Iterator[Callable[..., dict[Path, Grade]]]:
    """Grades files in one call. The grader has a process of its own, which has the libraries after the first call."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", GRADE], cwd=TESTS, text=True, **pipes) as grader:

        def grades(files: list[Path], patience: float = 60) -> dict[Path, Grade]:
            print(json.dumps([[str(file) for file in files], patience]), file=grader.stdin, flush=True)
            answer = json.loads(grader.stdout.readline())
            return {path: Grade(**grade) for path, grade in zip(files, answer, strict=True)}

        yield grades


def without_one_assertion(source: str) -> Iterator[str]:
    """Yield a solution once for each of its assertions, with this one left out."""
    tree = ast.parse(source)
    lines = source.splitlines()
    for node in ast.walk(tree):
        call = isinstance(node, ast.Expr) and "assert_close" in ast.unparse(node)
        if isinstance(node, ast.Assert) or call:
            indent = " " * node.col_offset
            yield "\n".join([*lines[: node.lineno - 1], f"{indent}pass", *lines[node.end_lineno :]]) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("submissions")


def submitted(folder: Path, group: str, name: str, source: str | bytes, key: str = "10_causality") -> Path:
    """Write a student's file. It is named like the exercise, in a folder of its own."""
    path = folder / group / name / f"test_{key}.py"
    path.parent.mkdir(parents=True)
    if isinstance(source, str):
        source = source.replace("{note}", str(folder / f"{name}.note")).replace("{victim}", str(folder / "victim"))
        source = source.replace("{fingerprint}", sha256(function_at(CAUSAL).__code__.co_code).hexdigest())
    path.write_bytes(source if isinstance(source, bytes) else (CLAIM * bool(source) + source).encode())
    return path


@pytest.fixture(scope="module")
def files(folder) -> dict[tuple[str, str], Path]:
    """Everything that is graded: the solutions, the cheats, the accidents, and solutions with an assertion left out."""
    (folder / "victim").write_text("untouched")
    found = {("solution", name): path for name, path in SOLUTIONS.items()}
    found |= {("cheat", name): submitted(folder, "cheat", name, source) for name, source in CHEATS.items()}
    found |= {("fickle", name): submitted(folder, "fickle", name, source) for name, source in FICKLE.items()}
    for name, (source, _) in ACCIDENTS.items():
        found["accident", name] = submitted(folder, "accident", name, source)
    for name, (key, source, *_) in PIECES.items():
        found["piece", name] = submitted(folder, "piece", name, source.encode(), key)
    found["broken", "unseen"] = submitted(
        folder, "broken", "unseen", CHEATS["says_nothing"], "15_find_the_bug_in_a_loop"
    )
    for name, source in (("saves", SAVES_IN_ITS_FOLDER), ("stops", FAILS_AND_STOPS), ("half", HALF_DONE)):
        found["own", name] = submitted(folder, "own", name, source)
    for key in (key for key, entry in CATALOGUE.items() if "catches" in entry):
        variants = list(without_one_assertion(SOLVED[key]))
        for i, source in enumerate(variants if len(variants) > 1 else []):
            found["variant", f"{key} {i}"] = submitted(folder, "variant", f"{key}_{i}", source, key)
    return found


@pytest.fixture(scope="module")
def graded(files, grades_of) -> dict[tuple[str, str], Grade]:
    grades = grades_of(list(files.values()))
    return {label: grades[path] for label, path in files.items()}


def test_every_exercise_has_all_that_belongs_to_it():
    """File, solution, chapter, three hints; and exhibits, laws and a repair that exist."""
    for name, entry in CATALOGUE.items():
        assert (EXERCISES / f"test_{name}.py").is_file()
        assert SOLUTIONS[name].is_file()
        assert (TESTS.parent / "docs" / entry["chapter"]).is_file()
        assert len(entry["hints"]) == 3
        assert set(entry.get("catches", ())) <= set(EXHIBITS)
        for law in entry.get("laws", ()):
            file, _, test = law.partition("::")
            assert f"def {test.split('[')[0]}(" in (TESTS / "laws" / file).read_text(encoding="utf-8")
        assert sum(key in entry for key in ("catches", "repair", "pieces")) == 1


@pytest.mark.parametrize("name", EXHIBITS)
def test_a_disguise_is_other_code(name):
    """The disguise of a function that a bug changes has other instructions and stands on other lines."""
    for change in changes_of(name):
        function = function_at(change.where)
        code = function.__code__
        rewrite(change.where, disguised)
        other, function.__code__ = function.__code__, code
        assert other.co_code != code.co_code
        assert other.co_firstlineno != code.co_firstlineno


def test_a_disguise_computes_the_same():
    """A function in disguise returns what it returned before, without a value too."""
    source = "def f(x):\n    'text'\n    if x > 2:\n        return x\n    if x:\n        return\n    yield x\n"
    plain, other = {}, {}
    exec(source, plain)
    exec(disguised(source), other)
    assert [list(plain["f"](x)) for x in range(4)] == [list(other["f"](x)) for x in range(4)] == [[0], [], [], []]
    assert other["f"].__doc__ == "text"


@pytest.mark.slow
@pytest.mark.grader
@pytest.mark.parametrize("name", CATALOGUE)
def test_every_solution_is_done(graded, name):
    """Each solution passes on correct code and catches all its bugs, or keeps all its laws."""
    assert graded["solution", name].done, graded["solution", name]


@pytest.mark.slow
@pytest.mark.grader
@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_is_not_done(graded, name):
    """A law that does not look at what the package computes earns nothing."""
    assert not graded["cheat", name].done


@pytest.mark.slow
@pytest.mark.grader
def test_a_bug_that_stops_a_test_is_not_caught(graded):
    """Only an AssertionError of the test's own body counts, and the answer says so."""
    for name in ("stops_instead_of_failing", "fails_in_its_fixture"):
        assert graded["cheat", name].status == "passes, but misses attention_in_both_directions"
        assert "only a failed assertion of the test counts" in graded["cheat", name].lines[0]


@pytest.mark.slow
@pytest.mark.grader
@pytest.mark.parametrize("name", ACCIDENTS)
def test_an_accident_is_told_by_its_first_lines(graded, name):
    """A file that stops or breaks something is not done, and the answer holds the reason."""
    grade = graded["accident", name]
    assert not grade.done
    assert any(word in line for word in ACCIDENTS[name][1].split("|") for line in grade.lines), grade


@pytest.mark.slow
@pytest.mark.grader
@pytest.mark.parametrize("name", FICKLE)
def test_a_law_that_changes_its_mind_is_not_done(graded, name):
    """A law that passes in one run and fails in another one is told so, on correct code and with a bug."""
    assert graded["fickle", name].status == "differs between runs"


@pytest.mark.slow
@pytest.mark.grader
@pytest.mark.parametrize("name", PIECES)
def test_a_piece_that_is_wrong_is_told_which_law_it_breaks(graded, name):
    """The answer names the law and says what it states, or where the piece stopped, or what it must not call."""
    *_, status, lines = PIECES[name]
    grade = graded["piece", name]
    assert grade.status == status
    assert all(part in line for part, line in zip(lines, grade.lines, strict=False)), grade
    assert len(grade.lines) >= len(lines)


@pytest.mark.slow
@pytest.mark.grader
def test_a_bug_that_is_not_found_is_told_so(graded):
    """A law that passes on the broken file does not find the bug."""
    assert graded["broken", "unseen"].status == "passes, but does not fail on the broken file"


@pytest.mark.slow
@pytest.mark.grader
def test_a_law_may_save_in_its_own_folder(graded):
    """What is refused elsewhere is allowed in the folder of the run."""
    assert graded["own", "saves"].status == "passes, but misses attention_in_both_directions"
    assert graded["own", "saves"].lines == []


@pytest.mark.slow
@pytest.mark.grader
def test_of_two_laws_the_worse_one_decides(graded):
    """With a bug one law that fails is enough, though another one stops; on correct code none may be left out."""
    assert graded["own", "stops"].status == "done"
    assert graded["own", "half"].status == "not attempted"


@pytest.mark.slow
@pytest.mark.grader
def test_nothing_is_left_on_disk(graded, folder):
    """No file outside of a run's own folder is written, changed or deleted."""
    assert (folder / "victim").read_text() == "untouched"
    assert not list(folder.glob("*.note"))
    assert {path.name for path in (folder / "cheat" / "counts_beside_itself").iterdir()} == {"test_10_causality.py"}


@pytest.mark.slow
@pytest.mark.grader
def test_every_clause_of_a_law_has_a_bug(graded):
    """A solution without one of its assertions misses a bug."""
    assert [name for (kind, name), grade in graded.items() if kind == "variant" and grade.done] == []


@pytest.mark.slow
@pytest.mark.grader
def test_a_law_that_takes_for_ever_is_ended(folder, grades_of):
    """A file that does not end is told so, and the others are graded."""
    files = [submitted(folder, "endless", name, source) for name, source in ENDLESS.items()]
    grades = grades_of(files, patience=1)
    assert [g.status for g in grades.values()] == ["stops on correct code"] * 2
    assert all("longer than 1 seconds" in g.lines[0] for g in grades.values())


def test_a_file_of_another_name_is_told_which_names_there_are(tmp_path, grades_of):
    """A file that is no exercise is no crash."""
    path = tmp_path / "test_99_nothing.py"
    path.write_text("")
    (grade,) = grades_of([path]).values()
    assert grade.status == "no exercise of this name"


def test_paths_choose_what_is_graded(tmp_path):
    """A file stands for itself, a test's own path for its file, a folder for the exercises in it."""
    names = [f"test_{name}.py" for name in list(CATALOGUE)[:3]]
    for name in [*names, "test_other.py", "conftest.py"]:
        (tmp_path / name).write_text("def test_it():\n    pass\n")
    assert [path.name for path in chosen([tmp_path])] == names
    first, second, third = (tmp_path / name for name in names)
    assert chosen([Path(f"{second}::test_it")]) == chosen([Path(f"{second}::test_it[1]"), second]) == [second]
    assert chosen([second, tmp_path]) == [second, first, third]  # in the order in which they are named, each once
    (tmp_path / "z").mkdir()
    first.rename(tmp_path / "z" / first.name)
    assert [path.name for path in chosen([tmp_path])] == names  # sorted by name, wherever they lie
    with pytest.raises(UnknownExerciseError, match="expected an exercise"):
        chosen([tmp_path / "missing.py"])
    with pytest.raises(UnknownExerciseError, match="has no test test_wrong: expected test_it"):
        chosen([Path(f"{tmp_path / names[1]}::test_wrong")])


def test_the_report_shows_the_error_below_its_exercise():
    """One line for each exercise, the error's lines below it, and the total."""
    grades = [Grade("01_a", "done"), Grade("02_bc", "stops on correct code", ["line 3: x", "NameError: x"])]
    expected = "01_a   done\n02_bc  stops on correct code\n    line 3: x\n    NameError: x\n1 of 2 done"
    assert report(grades) == expected


BUGS = ("guidance_sign", "guidance_counted_from_zero", "guidance_in_half_precision")  # of exercise 1


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        ({}, "done"),
        ({"right": "failed", BUGS[0]: "passed"}, "fails on correct code"),
        ({"disguised": "failed"}, "fails on correct code"),
        ({"right": "skipped", "disguised": "skipped"}, "not attempted"),
        ({"disguised": "error"}, "stops on correct code"),
        ({"right": "differs", "disguised": "failed"}, "differs between runs"),
        ({BUGS[1]: "differs", BUGS[0]: "passed"}, "differs between runs"),
        *(({BUGS[2]: other}, f"passes, but misses {BUGS[2]}") for other in ("passed", "error", "skipped")),
        ({BUGS[0]: "passed", BUGS[2]: "error"}, f"passes, but misses {BUGS[0]} and {BUGS[2]}"),
    ],
)
def test_an_exercise_is_done_if_it_passes_twice_and_fails_with_each_bug(monkeypatch, ended, status):
    """Runs: the code as it is, in disguise, and with each bug alone. Whatever goes wrong in one of them is told.

    The runs are in random order, and the answer is not: what is missed is named in the order of the catalogue.
    """
    right = {"right": "passed", "disguised": "passed"} | dict.fromkeys(BUGS, "failed")
    ran = []

    def run(job, patience):
        bugs = [name for name in BUGS if changes_of(name) == list(job.changes)]
        (label,) = bugs or ["disguised" if job.disguised else "right"]
        ran.append(label)
        return Outcome((right | ended)[label])

    monkeypatch.setattr("tools.grade._run", run)
    monkeypatch.setattr("tools.grade._warm_up", lambda: None)
    (grade,) = grading([EXERCISES / "test_01_beyond_the_prompt.py"])
    assert (grade.status, grade.done) == (status, status == "done")
    assert sorted(ran) == sorted(right)


@pytest.mark.parametrize("statuses", [["done", "done"], ["done", "not attempted"], []])
def test_the_graders_status_is_0_if_all_is_done_1_if_not_and_2_for_a_wrong_name(monkeypatch, capsys, statuses):
    """A script that collects the marks reads the status, and with --json the grades."""
    grades = [Grade("01_a", status) for status in statuses]
    monkeypatch.setattr("tools.grade.grade", lambda files: grades)
    for words, said in (([], report(grades)), (["--json"], json.dumps([asdict(g) for g in grades]))):
        monkeypatch.setattr(sys, "argv", ["grade", str(EXERCISES), *words])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == (statuses != ["done", "done"])
        assert capsys.readouterr().out == said + "\n"
    monkeypatch.setattr(sys, "argv", ["grade", "missing.py"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr() == ("", "missing.py does not exist: expected an exercise, or a folder with exercises\n")


def graded_by_pytest(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "--grade", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=TESTS)


@pytest.mark.slow
@pytest.mark.grader
def test_the_grader_honours_a_path_on_the_command_line():
    """`pytest PATH --grade` grades this exercise alone, and its status is 0 if it is done."""
    name = "16_write_a_step"  # one run is enough to grade it
    answer = graded_by_pytest(SOLUTIONS[name])
    assert (answer.stdout, answer.returncode) == (f"{name}  done\n1 of 1 done\n", 0)


@pytest.mark.slow
@pytest.mark.grader
@pytest.mark.parametrize("path", ["start.py", "solutions"])
def test_the_status_is_1_if_something_is_not_done(path):
    """What is no exercise is not done, and of no exercises none is done."""
    assert graded_by_pytest(EXERCISES / path).returncode == 1


@pytest.mark.slow
@pytest.mark.grader
@pytest.mark.parametrize("path", ["missing.py", "solutions/01_beyond_the_prompt.py::test_wrong"])
def test_a_name_that_does_not_exist_is_refused_in_one_line(path):
    """A wrong file or test is a wrong command."""
    answer = graded_by_pytest(EXERCISES / path)
    assert answer.returncode == pytest.ExitCode.USAGE_ERROR
    assert answer.stderr.startswith("ERROR: ")
    assert len(answer.stderr.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.grader
def test_the_grader_refuses_a_choice_that_it_would_ignore():
    """`-k` chooses among tests, and the grader grades files. It says so in one line."""
    answer = graded_by_pytest("exercises", "-k", "guidance")
    assert answer.returncode == pytest.ExitCode.USAGE_ERROR
    assert answer.stderr.strip() == "ERROR: --grade does not take -k: name the exercises' files"
    assert not answer.stdout
