"""The student of the small model: one run in one directory, which can be killed and resumed."""

import json
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tools.checkpoints import GOLDEN
from tools.launched import Launched
from tools.processes import OneOfTwo

from janus_minimal import JanusFlow, JanusFlowPipeline, time_grid
from janus_minimal.errors import InputError
from janus_minimal.loading.fingerprint import fingerprint
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.pipeline import image_noise
from janus_minimal.shapes import reflow
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.evaluate import generator_of, score_pipeline
from janus_minimal.shapes.examples import SmallWorld, draw_example
from janus_minimal.shapes.score import satisfies
from janus_minimal.solvers import adams_bashforth
from janus_minimal.training.reflow import Pairs, ReflowRecipe

RECIPE = replace(reflow.REFLOW_RECIPE, steps=3, batch_size=2, save_every=1, pairs=5, teacher_steps=3, seed=1)
STATE = "reflow.training.safetensors"


def run(directory: Path, recipe=RECIPE) -> None:
    reflow.train_few(directory, Accelerator(cpu=True), recipe)


def tiny() -> None:
    """Let the command draw what `run` draws."""
    reflow.CHUNK, reflow.REFLOW_RECIPE = 2, RECIPE


def tensors(directory: Path) -> dict:
    """Return all that the run has drawn and learned: the pairs by file, and the state."""
    files = [directory / STATE, *directory.glob("pairs/*/*.safetensors")]
    return {(path.name, key): value for path in files for key, value in load_file(path).items()}


@pytest.fixture(scope="module", autouse=True)
def chunks_of_two():
    """Files of two pairs, so that a tiny run has several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reflow, "CHUNK", 2)
        yield


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("uninterrupted")
    run(directory)
    return directory


def test_each_pair_is_the_first_noise_that_leads_to_a_right_picture(uninterrupted, pipe):
    """z_1[i] = pipe(caption i, latents=z_0[i]); z_0[i] = the first noise of (seed, 7, i, 0), ... that is right.

    Pairs whose noise belongs to another picture would teach an ordinary flow again, and wrong pictures their mistakes.
    After DRAWS wrong ones the last is kept: so few steps of the teacher make no endless search.
    """
    files = sorted(uninterrupted.glob("pairs/*/*.safetensors"))
    assert [path.stem for path in files] == ["000000-000002", "000002-000004", "000004-000005"]
    assert {path.parent.name for path in files} == {"seed-1-steps-3-shift-2-weight-2"}
    chunks = [load_file(path) for path in files]
    pairs = zip(*(torch.cat([chunk[name] for chunk in chunks]) for name in ("z_0", "z_1")), strict=True)
    times, taken = time_grid(3, shift=RECIPE.shift), []
    for i, (z_0, z_1) in enumerate(pairs):
        caption = draw_example(i, RECIPE.seed)[0]
        for draw in range(4):
            noise = image_noise(pipe.latent_shape, 1, [generator_of(RECIPE.seed, 7, i, draw)])
            options = {"latents": noise, "times": times, "solver": adams_bashforth, "progress": False}
            end = pipe(str(caption), output_type="latent", **options).images[0]
            if satisfies(np.asarray(pipe(str(caption), **options).images[0]), caption):
                break
        assert z_0.equal(noise[0])
        torch.testing.assert_close(z_1, end, rtol=1e-3, atol=1e-3)
        taken.append(draw)
    assert taken == [0, 3, 0, 0, 0]


def test_the_noise_of_the_pairs_is_none_that_the_evaluation_draws():
    """seed(s, NOISE, i, draw) != seed(s, category, i), for every draw and category.

    A student that learned from the noises of the evaluation would be scored on what it has seen.
    """
    pairs = {generator_of(0, reflow.NOISE, i, draw).initial_seed() for i in range(50) for draw in range(reflow.DRAWS)}
    assert len(pairs) == 50 * reflow.DRAWS
    assert pairs.isdisjoint(generator_of(0, c, i).initial_seed() for c in range(len(CATEGORIES)) for i in range(50))


def test_the_recipe_is_that_of_the_shipped_student():
    """8,000 steps of 32 at 1e-3, EMA 0.998, a save every 100; 20,000 pairs by 8 steps, shift 2, w = 2.

    What trained the shipped student is written down here a second time, so that a changed default is seen.
    """
    assert (
        ReflowRecipe(8000, 32, 1e-3, 0.01, 100, 0.998, 100, 0, pairs=20_000, teacher_steps=8, shift=2.0, cfg_weight=2.0)
        == reflow.REFLOW_RECIPE
    )


def test_two_processes_draw_each_pair_once(uninterrupted, tmp_path, pipe):
    """files(process 1 of 2) = every second missing file.

    If both drew all, a run on two GPUs would take as long as on one.
    """
    copy = Path(shutil.copytree(uninterrupted, tmp_path / "copy"))
    first, second, third = sorted(copy.glob("pairs/*/*.safetensors"))
    second.unlink(), third.unlink()
    with pytest.raises(InputError, match=r"000002-000004.* is missing"):  # that of the process which is not here
        reflow._drawn_pairs(copy, OneOfTwo(cpu=True), pipe, RECIPE)
    assert [path.exists() for path in (first, second, third)] == [True, False, True]


def test_the_pairs_are_drawn_on_the_device_of_the_run(unchecked, tmp_path, monkeypatch):
    """the teacher is loaded to the device of the accelerator; one that is not here is refused, and there is no folder.

    On a GPU the pairs take minutes, and on the CPU beside it hours.
    """
    monkeypatch.setattr(reflow, "check_surroundings", lambda _: None)
    elsewhere = Mock(spec=Accelerator, device=torch.device("meta"), num_processes=1)
    with pytest.raises(InputError, match='there is no device "meta" here'):
        reflow.train_few(tmp_path / "run", elsewhere, RECIPE)
    assert not (tmp_path / "run").exists()


def test_only_the_main_process_writes_the_vae(unchecked, tmp_path, pipe, monkeypatch):
    """DIRECTORY/vae: written by the main process alone, before the training.

    Two processes that write one folder may each take away what the other one has just written.
    """
    seen = []
    monkeypatch.setattr(reflow, "train_student", lambda *_: seen.append((tmp_path / "vae" / "config.json").exists()))
    for main in (False, True):
        here = Mock(spec=Accelerator, is_main_process=main)
        reflow._train(tmp_path, here, pipe, Mock(), None, RECIPE, "a student")
    assert seen == [False, True]


def test_no_process_draws_before_all_know_what_is_missing(uninterrupted, tmp_path, pipe, monkeypatch):
    """meet, draw, meet, read: the other process draws its files between the two meetings, and they are then there.

    A process that listed the missing files a moment later would find fewer of them, and leave out some of its own.
    """
    copy, met = Path(shutil.copytree(uninterrupted, tmp_path / "copy")), []
    files = sorted(copy.glob("pairs/*/*.safetensors"))
    for path in files:
        path.unlink()
    drawn = load_file(uninterrupted / files[1].relative_to(copy))
    monkeypatch.setattr(reflow, "_draw_chunk", lambda *_: drawn)  # ours is the second file alone

    class Other(OneOfTwo):
        def wait_for_everyone(self):
            met.append([path.exists() for path in files])
            if len(met) == 1:  # it now draws the first and the third file
                for path in files[::2]:
                    shutil.copy(uninterrupted / path.relative_to(copy), path)

    found = reflow._drawn_pairs(copy, Other(cpu=True), pipe, RECIPE)
    assert met == [[False] * 3, [True] * 3]
    assert found.z_0.equal(torch.cat([load_file(path)["z_0"] for path in files]))


def test_what_cannot_begin_makes_no_folder(tmp_path, surroundings):
    """a batch that the processes cannot share, or torch's defaults changed  =>  InputError, before there is a folder.

    The pairs take an hour. What the first step of the training would refuse is refused before them.
    """
    with pytest.raises(InputError, match="a batch of 3 on 2 processes"):
        reflow.train_few(tmp_path / "run", OneOfTwo(cpu=True), replace(RECIPE, batch_size=3))
    surroundings(torch.float64)
    with pytest.raises(InputError, match="default dtype"):
        run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_lost_sample_sheet_is_drawn_again_as_a_student_draws(uninterrupted, tmp_path, monkeypatch):
    """samples lost  =>  drawn again with the averaged weights, in one step at w = 1; else nothing is drawn.

    A student has no unconditional row, so guided samples would show what nobody trained.
    """
    copy, asked, draw = Path(shutil.copytree(uninterrupted, tmp_path / "copy")), [], reflow.draw_samples
    monkeypatch.setattr(
        reflow, "draw_samples", lambda *given, **how: asked.append((*given, how)) or draw(*given, **how)
    )
    run(copy)
    (copy / "reflow-samples.png").unlink()
    run(copy)
    ((pipe, shown, how),) = asked
    assert how == {"steps": 1, "cfg_weight": 1.0}
    assert shown == SmallWorld(1, RECIPE.seed).shown
    averaged, written = load_file(copy / STATE), load_file(copy / "model.safetensors")
    for key, tensor in pipe.model.state_dict().items():
        assert tensor.equal(averaged[f"average.module.{key}"])
        assert written[key].equal(tensor.half())
    assert (copy / "reflow-samples.png").read_bytes() == (uninterrupted / "reflow-samples.png").read_bytes()


def test_a_run_leaves_a_checkpoint_that_draws_in_one_step(uninterrupted):
    """reflow(directory)  =>  pipeline(directory), with its VAE and tokenizer, and no unfinished file.

    A student is used like any other checkpoint.
    """
    student = JanusFlowPipeline.from_pretrained(uninterrupted)
    assert student("a red circle", 1, cfg_weight=1.0, progress=False).images[0].size == (48, 48)
    assert {"reflow-loss.png", "reflow-samples.png"} < {path.name for path in uninterrupted.iterdir()}
    assert not list(uninterrupted.rglob(".*"))


def test_a_student_begins_with_the_weights_of_its_teacher(tmp_path, pipe):
    """learning rate 0  =>  student = teacher.

    Most of what the student needs, the teacher knows already.
    """
    run(tmp_path, replace(RECIPE, steps=1, learning_rate=0.0, weight_decay=0.0))
    state, teacher = load_file(tmp_path / STATE), pipe.model.state_dict()
    assert all(state[f"network.{key}"].equal(value) for key, value in teacher.items())


def test_a_second_round_begins_with_the_weights_of_the_first(tmp_path, uninterrupted):
    """student = directory  =>  its weights, and not the teacher's; in a run of another student: InputError.

    An earlier student is nearer to what is asked for than the teacher is.
    """
    still = replace(RECIPE, steps=1, learning_rate=0.0, weight_decay=0.0)
    reflow.train_few(tmp_path, Accelerator(cpu=True), still, student=uninterrupted)
    state, first = load_file(tmp_path / STATE), load_file(uninterrupted / "model.safetensors")
    assert all(state[f"network.{key}"].equal(value) for key, value in first.items())
    with pytest.raises(InputError, match="was begun with student"):
        reflow.train_few(tmp_path, Accelerator(cpu=True), still)


def test_a_state_names_the_student_that_it_began_with(tmp_path, monkeypatch):
    """train_student(..., source): the fingerprint of the student, the bundled model or an earlier student.

    The state of one student in the folder of another would be trained on without a word.
    """
    given, none = [], torch.zeros(0, 4, 12, 12)
    monkeypatch.setattr(reflow, "_drawn_pairs", lambda *_: Pairs([], none, none))
    monkeypatch.setattr(reflow, "train_student", lambda *asked: given.append(asked[-1]))
    for student in ("shapes", "shapes-few"):
        reflow.train_few(tmp_path / student, Accelerator(cpu=True), RECIPE, student)
    assert given == [fingerprint(JanusFlow.from_pretrained(name).state_dict()) for name in ("shapes", "shapes-few")]


def test_a_student_of_other_words_is_refused(tmp_path):
    """words(student) != words(teacher)  =>  InputError, before there is a folder; a student without words is taken.

    Its "red" would be the teacher's "blue", and the checkpoint would have the teacher's words.
    """
    student = shutil.copytree(BUNDLED / "shapes", tmp_path / "student")
    path = student / "tokenizer.json"
    text = path.read_text(encoding="utf-8").replace('"red"', '"?"').replace('"blue"', '"red"').replace('"?"', '"blue"')
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="other words than shapes, its teacher: expected a student of shapes"):
        reflow.train_few(tmp_path / "run", Accelerator(cpu=True), RECIPE, student)
    assert not (tmp_path / "run").exists()
    path.unlink()
    reflow._beginner(student, JanusFlowPipeline.from_pretrained("shapes"))


def test_a_student_of_another_size_is_refused(tmp_path, pipe):
    """config(student) != config(teacher), in any of its parts  =>  InputError, before there is a folder.

    Its tokens and latents would not be those of the pairs, or it would need other weights than a student of shapes.
    """
    shallow = replace(pipe.model.config, language=replace(pipe.model.config.language, num_hidden_layers=1))
    JanusFlow(shallow).save_pretrained(tmp_path / "shallow", torch.float16)
    for student in (GOLDEN, tmp_path / "shallow"):
        with pytest.raises(InputError, match=r"another config than shapes.*expected a student of shapes"):
            reflow.train_few(tmp_path / "run", Accelerator(cpu=True), RECIPE, student=student)
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_killed_goes_on_to_the_same_end(uninterrupted, tmp_path):
    """kill -9 while pairs are drawn, and between two saves  =>  resumed = uninterrupted, to the bit.

    The run takes hours. Whatever is under its final name is complete, and all randomness is drawn from numbers.
    """
    words = ("reflow", "--out", ".", "--pairs", "5", "--steps", "3", "--batch-size", "2", "--save-every", "1")
    for awaited in ("pairs/*/000000-000002.safetensors", STATE):
        command = Launched(tmp_path, *words, "--device", "cpu", first=tiny)
        while command.runs and not list(tmp_path.glob(awaited)):
            time.sleep(0.01)
        command.send(signal.SIGKILL)
        assert command.wait().returncode == -signal.SIGKILL
    run(tmp_path)
    cut, whole = tensors(tmp_path), tensors(uninterrupted)
    assert cut.keys() == whole.keys()
    assert all(cut[key].equal(whole[key]) for key in whole)


def test_what_is_there_is_not_drawn_again(uninterrupted, monkeypatch):
    """reflow(reflow(directory)) = reflow(directory), without a step of the teacher.

    Pairs take a third of the time of a run.
    """
    monkeypatch.setattr(reflow, "follow_teacher", lambda *_: pytest.fail("the teacher was asked again"))
    before = (uninterrupted / "model.safetensors").read_bytes()
    run(uninterrupted)
    assert (uninterrupted / "model.safetensors").read_bytes() == before


def test_another_recipe_does_not_go_on_with_this_student(uninterrupted):
    """steps or pairs other than those of the run  =>  InputError.

    Half of one schedule followed by half of another is neither of them.
    """
    for change in ({"steps": 4}, {"pairs": 4}):
        with pytest.raises(InputError, match="train in another directory"):
            run(uninterrupted, replace(RECIPE, **change))


def test_the_shipped_student_has_the_vae_and_the_tokenizer_of_its_teacher(pipe):
    """shapes-few = config.json and model.safetensors; VAE and tokenizer are those of shapes.

    They are equal, and shipping them twice would cost 3 MB.
    """
    assert {path.name for path in (BUNDLED / "shapes-few").iterdir()} == {"config.json", "model.safetensors"}
    student = JanusFlowPipeline.from_pretrained("shapes-few")
    assert student.tokenizer.get_vocab() == pipe.tokenizer.get_vocab()
    weights = zip(student.vae.parameters(), pipe.vae.parameters(), strict=True)
    assert all(a.equal(b) for a, b in weights)
    assert JanusFlow.from_pretrained("shapes-few").config == pipe.model.config


def test_the_shipped_student_draws_in_two_steps_what_the_teacher_does_not(pipe):
    """score(shapes-few, 2 steps, w = 1) > score(shapes, 2 steps, w = 2) + 0.2, of 35 captions.

    This is all that it was trained for. The measured scores stand in the chapter on few steps.
    """
    student = JanusFlowPipeline.from_pretrained("shapes-few")
    ours, teachers = (
        score_pipeline(p, captions=5, steps=2, cfg_weight=w, seed=1) for p, w in ((student, 1.0), (pipe, 2.0))
    )
    assert ours.overall > teachers.overall + 0.2


@pytest.mark.parametrize("content", [b"", b"rubbish", None])
def test_damaged_pairs_are_one_line_with_the_way_out(uninterrupted, tmp_path, content):
    """a file of pairs that is damaged, or has another shape  =>  InputError, which says to delete it.

    A run that was killed by a full disk leaves such files, and drawing 100 pairs anew costs seconds.
    """
    copy = shutil.copytree(uninterrupted, tmp_path / "copy")
    path = min(copy.glob("pairs/*/*.safetensors"))
    if content is None:
        save_file({"z_0": torch.zeros(2, 4, 3, 3), "z_1": torch.zeros(2, 4, 3, 3)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match="delete it, and its pairs are drawn anew"):
        run(copy)


def test_a_file_of_pairs_is_not_taken_for_another_one(uninterrupted, tmp_path):
    """a file of pairs under another name, or drawn by another teacher  =>  InputError, which says to delete it.

    Noises and ends would be trained under the captions of other pairs, and no number of the file shows it.
    """
    copy = Path(shutil.copytree(uninterrupted, tmp_path / "copy"))
    first, second, _ = sorted(copy.glob("pairs/*/*.safetensors"))
    with safe_open(second, "pt") as file:
        about, whole = file.metadata(), second.read_bytes()
    second.write_bytes(first.read_bytes())
    with pytest.raises(InputError, match=r"000002-000004.*of another file.*; delete it, and its pairs are drawn anew"):
        run(copy)
    save_file(load_file(uninterrupted / second.relative_to(copy)), second, about | {"teacher": "another"})
    with pytest.raises(InputError, match=r"000002-000004.*another teacher; delete it, and its pairs are drawn anew"):
        run(copy)
    second.write_bytes(whole)
    run(copy)


@pytest.mark.parametrize("change", [{"seed": 2}, {"teacher_steps": 4}, {"shift": 3.0}, {"cfg_weight": 3.0}])
def test_pairs_are_not_taken_for_those_of_another_recipe(uninterrupted, tmp_path, pipe, change):
    """files of pairs in the folder of another seed, number of steps, shift or weight  =>  InputError: delete it.

    Their numbers have the form of the others, and a student would learn from another teacher than its report names.
    """
    (folder,) = (uninterrupted / "pairs").iterdir()
    other = reflow._file_of(tmp_path, range(2), replace(RECIPE, **change)).parent
    assert other.name != folder.name
    shutil.copytree(folder, other)
    with pytest.raises(InputError, match=r"of another file.*; delete it, and its pairs are drawn anew"):
        reflow._drawn_pairs(tmp_path, Accelerator(cpu=True), pipe, replace(RECIPE, **change))


def test_pairs_without_settings_are_not_guessed(uninterrupted, tmp_path):
    """pairs, or pictures of a report, without settings.json  =>  InputError.

    A run that is killed early leaves nothing else.
    """
    for part in ("pairs", "reflow-samples.png"):
        folder = tmp_path / part.partition(".")[0]
        folder.mkdir()
        copy = shutil.copytree if (uninterrupted / part).is_dir() else shutil.copy
        copy(uninterrupted / part, folder / part)
        with pytest.raises(InputError, match=rf"holds {part}.* but no settings\.json"):
            run(folder)


def test_pairs_of_another_teacher_are_not_mixed_in(uninterrupted, tmp_path):
    """settings(run) name the teacher by its weights; another one  =>  InputError.

    An interrupted run may go on after the package, and with it the bundled model, was updated.
    """
    copy = shutil.copytree(uninterrupted, tmp_path / "copy")
    settings = json.loads((copy / "settings.json").read_text())
    assert settings["teacher"] == fingerprint(JanusFlow.from_pretrained("shapes").state_dict())
    (copy / "settings.json").write_text(json.dumps(settings | {"teacher": "another"}))
    with pytest.raises(InputError, match="teacher"):
        run(copy)
