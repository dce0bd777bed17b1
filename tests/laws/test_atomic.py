"""Files are complete or absent, whoever is killed while writing them."""

import os
import signal
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from filelock import FileLock, Timeout
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from janus_minimal.cli.write import write_figure, write_json, write_sheet
from janus_minimal.config import JanusConfig
from janus_minimal.errors import InputError
from janus_minimal.jobs.album import write_picture
from janus_minimal.jobs.request import Request
from janus_minimal.loading.atomic import (
    LOCK,
    UNFINISHED,
    atomic_directory,
    atomic_write,
    check_writable,
    held,
    make_directory,
)
from janus_minimal.loading.config_file import write_config
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.loading.latents import write_latents
from janus_minimal.loading.vae import load_vae
from janus_minimal.loading.weights import write_weights
from janus_minimal.training.learner import Learner
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.run import _own_vae, write_progress
from janus_minimal.training.settings import begin_or_go_on

RECIPE = Recipe(steps=4, batch_size=2, learning_rate=0.01)

WRITER = """
import os, pathlib, sys
directory, pid = pathlib.Path(sys.argv[1]), int(sys.argv[2])
os.getpid = lambda: pid
from janus_minimal.loading.atomic import atomic_write
with atomic_write(directory / "file") as unfinished:
    unfinished.write_text("new")
    print(flush=True)
    sys.stdin.readline()
"""


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def start_writing(directory, pid):
    """Another process in the middle of a write, which takes its own process id for `pid`."""
    command = [sys.executable, "-c", WRITER, str(directory), str(pid)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@given(old=st.none() | st.binary(max_size=9), new=st.binary(max_size=9), fails=st.booleans())
def test_a_file_is_the_old_one_or_the_new_one(tmp_path_factory, old, new, fails):
    """read(path) = new after the block, old if the block raises; nothing else is left.

    Half a checkpoint under its final name would be read as a checkpoint.
    """
    path = tmp_path_factory.mktemp("atomic") / "file"
    if old is not None:
        path.write_bytes(old)
    try:
        with atomic_write(path) as unfinished:
            unfinished.write_bytes(new)
            if fails:
                raise KeyError
    except KeyError:
        new = old
    assert (path.read_bytes() if path.exists() else None) == new
    assert names(path.parent) == ["file"] * path.exists()


def test_whoever_has_opened_the_old_file_reads_all_of_it(tmp_path):
    """open(path), then a write to path: the reader still finds the whole old content.

    A copy onto the old file would end in the same bytes, but meanwhile a reader would find a part of each. Weights are
    mapped into memory, so a model would change while it draws.
    """
    (tmp_path / "file").write_text("old")
    with (tmp_path / "file").open() as reader:
        with atomic_write(tmp_path / "file") as unfinished:
            unfinished.write_text("newer")
        assert reader.read() == "old"


def test_the_files_of_a_directory_appear_together(tmp_path):
    """files(directory) during the block = the old ones; after it = old and new.

    A tokenizer without its config, or a config without its weights, is another model.
    """
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "a").write_text("old")
    with atomic_directory(tmp_path) as unfinished:
        (unfinished / "a").write_text("new")
        (unfinished / "b").write_text("new")
        assert (tmp_path / "a").read_text() == "old"
        assert not (tmp_path / "b").exists()
    assert names(tmp_path) == ["a", "b", "kept"]
    assert [(tmp_path / name).read_text() for name in "ab"] == ["new", "new"]


@pytest.mark.parametrize("pid", [dead_pid, os.getpid], ids=["another pid namespace", "the same pid"])
def test_a_live_write_is_left_alone_whatever_its_pid(tmp_path, pid):
    """litter(live process) stays until its write is complete.

    In another container the same number means another process, or none here.
    """
    process = start_writing(tmp_path, pid())
    with atomic_write(tmp_path / "other") as unfinished:
        unfinished.touch()
    process.communicate(b"\n", timeout=60)
    assert process.returncode == 0
    assert names(tmp_path) == ["file", "other"]


@pytest.mark.parametrize("pid", [dead_pid, os.getpid], ids=["a free pid", "a pid that is in use"])
def test_what_a_killed_write_left_goes_with_the_next_one(tmp_path, pid):
    """litter(killed process) = nothing, after the next write there.

    In containers every run may have the pid 1, so a pid that is in use does not mean that it lives.
    """
    process = start_writing(tmp_path, pid())
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert [name for name in names(tmp_path) if name.startswith(UNFINISHED)] != []
    with atomic_write(tmp_path / "other") as unfinished:
        unfinished.touch()
    assert names(tmp_path) == ["other"]


def test_the_content_is_on_the_disk_before_the_file_has_its_name(tmp_path, monkeypatch):
    """fsync(every file), then rename: while it runs, the old file is still there.

    After a power cut, a file could have its final name and no content.
    """
    found, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: found.append(names(tmp_path)[1:]) or fsync(file))
    with atomic_directory(tmp_path) as unfinished:
        [(unfinished / name).write_text("new") for name in "ab"]
    assert found == [[], []]
    assert names(tmp_path) == ["a", "b"]


WRITERS = {
    "config": ("config.json", lambda path: write_config(path.parent, JanusConfig())),
    "weights": ("model.safetensors", lambda path: write_weights(path.parent, {"x": torch.zeros(1)})),
    "latents": ("z", lambda path: write_latents(path, torch.zeros(1, 4, 2, 2))),
    "picture": ("0.png", lambda path: write_picture(path, Request("a star"), Image.new("RGB", (8, 8)), "m")),
    "sheet": ("sheet.png", lambda path: write_sheet(path, [Image.new("RGB", (8, 8))])),
    "figure": ("plot.png", lambda path: write_figure(path, Figure)),
    "report": ("report.json", lambda path: write_json(path, {})),
}


@pytest.mark.parametrize(("name", "write"), WRITERS.values(), ids=WRITERS)
def test_every_writer_keeps_the_old_file_if_the_disk_fails(tmp_path, monkeypatch, name, write):
    """fsync fails  =>  InputError, and the old file is whole; so for whatever this package writes.

    A writer that opened the final name itself would have emptied the old file before it knew.
    """

    def fails(file):
        raise OSError(28, "No space left on device")

    (tmp_path / name).write_text("old")
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(InputError, match="No space left on device; no file"):
        write(tmp_path / name)
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "old"


def write_own_vae(path: Path) -> None:
    source = Mock(about={})
    _own_vae(path.parent, source, Accelerator(cpu=True), load_vae(BUNDLED / "shapes" / "vae"))


RUN = {
    "settings": ("settings.json", lambda path: begin_or_go_on(path.parent, {"steps": 3}, ())),
    "state": ("flow.training.safetensors", lambda path: Learner(nn.Linear(2, 2), RECIPE, "").save(path)),
    "report": ("vae-loss.png", lambda path: write_progress(path.parent, "vae", [1.0], Image.new("RGB", (8, 8)))),
    "VAE": ("vae", write_own_vae),
}


@pytest.mark.parametrize(("name", "write"), RUN.values(), ids=RUN)
def test_a_part_of_a_run_is_there_whole_or_not_at_all(unchecked, tmp_path, monkeypatch, name, write):
    """fsync fails  =>  InputError, and no part is there: settings, state, report or VAE of a run.

    Half a file under its final name would stop the run for ever, or take the place of the only state.
    """
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(InputError, match="No space left on device"):
        write(tmp_path / name)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("make", [make_directory, lambda path: atomic_directory(path).__enter__()])
def test_a_directory_is_made_with_its_parents(tmp_path, make):
    """make(a/b/c) makes a, b and c.

    `--out runs/today/first` is a usual wish.
    """
    make(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_a_hidden_directory_that_cannot_be_removed_is_no_failure(tmp_path, monkeypatch):
    """rmdir(hidden directory) fails after the file was moved  =>  the file is there, and no error.

    A network's file system keeps a deleted file that is still open, under another name, and so the directory too.
    """

    def fails(path, **_):
        raise OSError(39, "Directory not empty")

    with monkeypatch.context() as patch, atomic_write(tmp_path / "file") as unfinished:
        unfinished.write_text("new")
        patch.setattr(os, "rmdir", fails)
    assert (tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_file_may_be_read_by_whom_the_umask_says(tmp_path, umask):
    """permissions(file) = 0o666 without the umask's, for weights too.

    safetensors makes files that their owner alone can read. A checkpoint in a shared folder is for the others as well.
    """
    before = os.umask(umask)
    try:
        with atomic_write(tmp_path / "weights") as unfinished:
            save_file({"x": torch.zeros(1)}, unfinished)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "weights").stat().st_mode) == 0o666 & ~umask


def test_writes_into_one_directory_do_not_disturb_each_other(tmp_path):
    """n processes, each with its own files  =>  every file is there.

    Each of them also removes litter, and must never take a live directory for litter.
    """
    code = (
        "import sys, pathlib; from janus_minimal.loading.atomic import atomic_write\n"
        "for i in range(200):\n"
        "    with atomic_write(pathlib.Path(sys.argv[1], f'{sys.argv[2]}-{i}')) as f: f.touch()"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(run)]) for run in range(3)]
    assert [run.wait(120) for run in runs] == [0, 0, 0]
    assert len(names(tmp_path)) == 600


def test_writes_can_be_nested(tmp_path):
    """a write inside a write into the same directory  =>  both files.

    The inner one must not take the outer one's hidden directory for litter, though both are ours.
    """
    with atomic_write(tmp_path / "outer") as outer:
        with atomic_write(tmp_path / "inner") as inner:
            inner.touch()
        outer.touch()
    assert names(tmp_path) == ["inner", "outer"]


@pytest.mark.parametrize("name", [f"{LOCK}.png", f"{LOCK}ed"])
def test_a_file_may_be_called_nearly_as_the_lock_is(tmp_path, name):
    """atomic_write(a name that begins as the lock's)  =>  the file is there.

    It was taken for the lock and went with the hidden directory, and the command said that it was written.
    """
    with atomic_write(tmp_path / name) as unfinished:
        unfinished.write_text("mine")
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("name", [f"{UNFINISHED}notes", f"{UNFINISHED}1234-x", f"{UNFINISHED}{'a' * 8}"])
@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_not_ours_is_left_alone(tmp_path, name, kind):
    """a path that begins with .unfinished- but holds no lock of ours stays, and so does one with another name.

    Somebody's notes may have such a name.
    """
    home = tmp_path / "home"
    home.mkdir()
    (home / "text").write_text("mine")
    {
        "folder": lambda: home.rename(tmp_path / name),
        "file": (tmp_path / name).touch,
        "link": lambda: (tmp_path / name).symlink_to(home),
    }[kind]()
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / LOCK).touch()  # litter that somebody has renamed to look into it
    before = sorted(tmp_path.rglob("*"))
    with atomic_write(tmp_path / "file") as unfinished:
        unfinished.touch()
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "file"])


@pytest.mark.parametrize("error", [OSError(38, "no locks here"), NotImplementedError])
def test_a_file_system_without_locks_takes_files_all_the_same(tmp_path, monkeypatch, error):
    """lock(...) fails  =>  the file is written, the lock's own file is not left beside it; litter is left alone.

    Some network file systems have no locks. What cannot be locked may be alive. The lock's file is there by then.
    """
    (tmp_path / f"{UNFINISHED}a").mkdir()
    (tmp_path / f"{UNFINISHED}a" / LOCK).touch()

    def acquire(lock, *_, **__):
        Path(lock.lock_file).touch()
        raise error

    monkeypatch.setattr("janus_minimal.loading.atomic.FileLock.acquire", acquire)
    with atomic_write(tmp_path / "file") as unfinished:
        unfinished.touch()
    assert names(tmp_path) == [f"{UNFINISHED}a", "file"]


def test_a_file_is_held_by_one_at_a_time_under_all_of_its_names(tmp_path):
    """in held(link to a file), nobody can hold the file; after the block everybody can, and the file is not there yet.

    Two sweeps that write one file by two names would each lose what the other one added.
    """
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere/file")
    lock = FileLock(tmp_path / "elsewhere" / ".file.lock", timeout=0)
    with held(tmp_path / "link"), pytest.raises(Timeout):
        lock.acquire()
    lock.acquire()
    lock.release()
    assert names(tmp_path) == ["elsewhere", "link"]
    assert names(tmp_path / "elsewhere") == [".file.lock"]


@pytest.mark.parametrize("error", [OSError(38, "no locks here"), NotImplementedError])
def test_without_locks_nobody_waits(tmp_path, monkeypatch, error):
    """lock(...) fails  =>  the block of held is run.

    A sweep on a network's file system ends in its report, and not in a word about locks.
    """
    monkeypatch.setattr("janus_minimal.loading.atomic.FileLock.acquire", Mock(side_effect=error))
    with held(tmp_path / "file"):
        (tmp_path / "file").touch()
    assert names(tmp_path) == ["file"]


def no_plain_files(directory):
    """A FIFO, a socket, a device if we may make one, and a link to each; never the real /dev/null."""
    os.mkfifo(directory / "fifo")
    socket.socket(socket.AF_UNIX).bind(str(directory / "socket"))
    with suppress(PermissionError):
        os.mknod(directory / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    for path in list(directory.iterdir()):
        (directory / f"link to {path.name}").symlink_to(path.name)
    (directory / "link to itself").symlink_to("link to itself")
    return sorted(directory.iterdir())


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_only_plain_files_are_replaced(tmp_path):
    """FIFO, socket, device, link to one  =>  InputError in one line, before the work and in it.

    Renaming a file onto a device removes the device: as root, `--out /dev/null` would.
    """
    paths = no_plain_files(tmp_path)
    kinds = [os.lstat(path).st_mode for path in paths]
    for path in paths:
        with pytest.raises(InputError, match=r"is no plain file, and is not replaced"):
            check_writable(path)
        with pytest.raises(InputError, match=r"is no plain file"), atomic_write(path) as unfinished:
            unfinished.touch()
    with pytest.raises(InputError, match="is no plain file"), atomic_directory(tmp_path) as unfinished:
        [(unfinished / name).touch() for name in ("a", "fifo")]
    assert [os.lstat(path).st_mode for path in paths] == kinds
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_its_file_is_replaced(tmp_path, exists):
    """read(target) = new after a write to link -> target, and link -> target as before.

    A link to a folder on a larger disk is there for a reason.
    """
    target, link = tmp_path / "large disk" / "data", tmp_path / "link"
    target.parent.mkdir()
    link.symlink_to(target)
    if exists:
        target.write_text("old")
    check_writable(link)
    with atomic_write(link) as unfinished:
        unfinished.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    with atomic_directory(tmp_path) as unfinished:
        (unfinished / "link").write_text("newer")
    assert link.is_symlink()
    assert target.read_text() == "newer"
    assert names(target.parent) == ["data"]


def test_a_link_into_nowhere_is_refused(tmp_path):
    """link -> a directory that does not exist  =>  InputError, and no directory is made.

    Its disk may not be mounted.
    """
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "data")
    with pytest.raises(InputError, match="in a directory that does not exist"):
        check_writable(tmp_path / "link")
    with pytest.raises(InputError, match="does not exist"), atomic_write(tmp_path / "link"):
        pass
    assert names(tmp_path) == ["link"]


@pytest.mark.parametrize("ask", [check_writable, lambda path: atomic_write(path).__enter__()])
def test_a_directory_is_no_file(tmp_path, ask):
    """write(directory, or a link to one)  =>  InputError.

    It says what would be right: the name of a file in it.
    """
    (tmp_path / "link").symlink_to(tmp_path)
    for path in (tmp_path, tmp_path / "link"):
        with pytest.raises(InputError, match="is a directory: expected the name of a file in it"):
            ask(path)


@pytest.mark.parametrize("path", [Path("/proc/file"), Path("/proc/new/file")])
def test_a_place_that_takes_no_files_is_one_line(path):
    """write(where nobody may write)  =>  InputError.

    In /proc, for example, even root may not.
    """
    for ask in (check_writable, make_directory):
        with pytest.raises(InputError, match=r"^/proc/\S+ cannot be (written|made): "):
            ask(path)
    with pytest.raises(InputError, match=r"^/proc\S* cannot be written: "), atomic_write(path):
        pass
    with pytest.raises(InputError, match=r"^/proc cannot be written: "):
        make_directory(Path("/proc"))  # it exists, but takes no files


def test_a_name_that_is_too_long_is_found_before_the_work(tmp_path):
    """check_writable(a name of 300 letters)  =>  InputError with the reason; make_directory likewise.

    The folder takes files, so only the name itself says that it will not be written.
    """
    with pytest.raises(InputError, match=r"a cannot be written: File name too long$"):
        check_writable(tmp_path / ("a" * 300))
    with pytest.raises(InputError, match=r"a cannot be made: File name too long; expected a directory"):
        make_directory(tmp_path / ("a" * 300))


def test_asking_leaves_nothing(tmp_path):
    """files(directory) after check_writable and make_directory = files before.

    The old file is there until the new one is complete.
    """
    (tmp_path / "file").write_text("old")
    check_writable(tmp_path / "file")
    make_directory(tmp_path)
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "old"


@pytest.fixture
def chain(tmp_path) -> Path:
    """A link to a link to a file; each of the three in a folder of its own."""
    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
    (tmp_path / "third" / "file").write_text("old")
    (tmp_path / "second" / "link").symlink_to("../third/file")
    (tmp_path / "first" / "link").symlink_to("../second/link")
    return tmp_path


def test_a_chain_of_links_is_followed_to_its_file(chain):
    """write(link to a link to a file): the file is new, both links stay, and the write is prepared beside the file.

    The folders may be on other disks, and a file cannot be renamed from one disk to another.
    """
    with atomic_write(chain / "first" / "link") as unfinished:
        unfinished.write_text("new")
        assert unfinished.parent.parent == chain / "third"
    assert (chain / "third" / "file").read_text() == "new"
    assert not (chain / "third" / "file").is_symlink()
    assert all((chain / name / "link").is_symlink() for name in ("first", "second"))
    assert names(chain / "third") == ["file"]


def test_the_folder_that_takes_the_file_is_the_one_that_is_tried(chain, monkeypatch):
    """check_writable(link) tries the folder of the file that the link leads to; its fault is an InputError.

    A folder that may only be read would be found after hours of work.
    """
    tried = []

    def temporary_file(dir):
        tried.append(dir)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("janus_minimal.loading.atomic.TemporaryFile", temporary_file)
    with pytest.raises(InputError, match="cannot be written: permission denied"):
        check_writable(chain / "first" / "link")
    assert tried == [chain / "third"]


@pytest.mark.parametrize("given", [0o600, 0o664, 0o777])
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_file_has_the_permissions_of_a_new_one(tmp_path, given, umask):
    """mode(written file) = 666 less the umask, whatever mode its writer gave it.

    Whoever forbids others to read new files does so for files that a library wrote, too.
    """
    before = os.umask(umask)
    try:
        with atomic_write(tmp_path / "file") as unfinished:
            unfinished.write_text("new")
            unfinished.chmod(given)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask


def test_at_no_moment_is_there_no_file(tmp_path, monkeypatch):
    """Before each renaming the old file is still there, after it the new one: nothing lies between.

    A kill between the removal of the old weights and the renaming of the new ones would lose both.
    """
    replace, seen = Path.replace, []

    def spy(path, target):
        before = Path(target).read_text()
        replace(path, target)
        seen.append((before, Path(target).read_text()))

    for name in ("a", "b"):
        (tmp_path / name).write_text("old")
    monkeypatch.setattr(Path, "replace", spy)
    with atomic_directory(tmp_path) as unfinished:
        for name in ("a", "b"):
            (unfinished / name).write_text("new")
    assert seen == [("old", "new")] * 2
