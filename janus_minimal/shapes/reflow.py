"""A student of the small model for few steps: one run in one directory, from pairs to a checkpoint.

A pair is a noise and the latent to which the bundled model, the teacher, takes it under a caption.
The student learns to go there along a straight line (`training.reflow` says why that needs fewer
steps). Each pair costs a whole generation. So they are kept in files of CHUNK pairs, and a run that
was killed goes on with the first file that is missing.

What is already in the directory is not done again, as in `training.run`. The directory holds:

    settings.json                 what the run was begun with; other settings are refused
    run.lock                      locked while a process works on the run
    pairs/SETTINGS/FIRST-STOP.safetensors     the pairs, CHUNK in a file
    reflow.training.safetensors   the state of the student's training, to resume it
    config.json, model.safetensors, tokenizer*.json     the checkpoint, written anew at each save
    vae/                          the teacher's VAE, which belongs to the checkpoint
    reflow-loss.png, reflow-samples.png     the loss curve and pictures, written anew at each save
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import Tensor
from tqdm.auto import tqdm

from janus_minimal.errors import InputError
from janus_minimal.loading.atomic import atomic_directory, atomic_write
from janus_minimal.loading.fingerprint import fingerprint
from janus_minimal.loading.hub import find_checkpoint, find_part
from janus_minimal.loading.latents import read_about
from janus_minimal.loading.pretrained import read_tokenizer
from janus_minimal.loading.vocabulary import rules_of
from janus_minimal.loading.weights import read_safetensors
from janus_minimal.model import JanusFlow
from janus_minimal.pipeline import JanusFlowPipeline, image_noise
from janus_minimal.shapes.evaluate import are_satisfied, generator_of
from janus_minimal.shapes.examples import SmallWorld, draw_example, tokenize_examples
from janus_minimal.training.folder import run_folder
from janus_minimal.training.loop import check_share
from janus_minimal.training.reflow import Pairs, ReflowRecipe, follow_teacher, train_student
from janus_minimal.training.run import (
    PARTS,
    draw_samples,
    is_written,
    reported,
    write_checkpoint,
    write_progress,
)
from janus_minimal.training.surroundings import check_surroundings

REFLOW_RECIPE = ReflowRecipe(
    steps=8000,
    batch_size=32,
    learning_rate=1e-3,
    average=0.998,
    save_every=100,
    pairs=20_000,
    teacher_steps=8,
    shift=2.0,
    cfg_weight=2.0,
)
CHUNK = 100  # pairs in a file; a killed run loses at most the work on one file
DRAWS = 4  # the most noises that are drawn for a pair, until one ends at a right picture
NOISE = 7  # the stream of random numbers of the pairs' noise; evaluation uses 0 to 6


def train_few(
    out: Path,
    accelerator: Accelerator,
    recipe: ReflowRecipe = REFLOW_RECIPE,
    student: str | Path = "shapes",
) -> None:
    """Draw the pairs with the bundled model, and train the student, in the directory `out`.

    Args:
        out: the directory of the run.
        accelerator: the device, and the processes that share the work.
        recipe: how to draw the pairs, and how to train.
        student: the checkpoint whose weights the student begins with: the bundled model's, or those
            of an earlier student, to train it on.

    Raises:
        InputError: if the directory holds a run with other settings, or a run that another process
            works on; if it cannot be written; if the student is of another size than the bundled
            model, or has other words; and as `fit` does.
    """
    check_surroundings(accelerator)
    check_share(recipe.batch_size, accelerator.num_processes)
    teacher = JanusFlowPipeline.from_pretrained("shapes", device=accelerator.device)
    beginner = _beginner(student, teacher)
    models = {"teacher": teacher.model, "student": beginner}
    settings = {name: fingerprint(model.state_dict()) for name, model in models.items()}
    parts = (*PARTS, *reported("reflow"), "pairs/*/*.safetensors")
    with run_folder(out, asdict(recipe) | settings, parts, accelerator):
        pairs = _drawn_pairs(out, accelerator, teacher, recipe)
        _train(out, accelerator, teacher, beginner, pairs, recipe, settings["student"])


def _beginner(student: str | Path, teacher: JanusFlowPipeline) -> JanusFlow:
    """Return the student before training. Its tokens must be the teacher's. Raises InputError."""
    beginner = JanusFlow.from_pretrained(student)
    if beginner.config != teacher.model.config:
        raise InputError(
            f"{student} has another config than shapes, its teacher: expected a student of shapes"
        )
    words = find_part(find_checkpoint(student), "tokenizer.json")
    if words.exists() and rules_of(read_tokenizer(words.parent)) != rules_of(teacher.tokenizer):
        raise InputError(
            f"{student} has other words than shapes, its teacher: expected a student of shapes"
        )
    return beginner


def _drawn_pairs(
    out: Path, accelerator: Accelerator, teacher: JanusFlowPipeline, recipe: ReflowRecipe
) -> Pairs:
    """Return all pairs. Files that are missing are drawn first, each process its share of them."""
    ids = tokenize_examples(teacher.tokenizer, recipe.pairs, recipe.seed)
    firsts = range(0, recipe.pairs, CHUNK)
    chunks = [range(first, min(first + CHUNK, recipe.pairs)) for first in firsts]
    drawn_by = fingerprint(teacher.model.state_dict())
    missing = [chunk for chunk in chunks if not _file_of(out, chunk, recipe).exists()]
    accelerator.wait_for_everyone()  # nobody writes until all have listed the same missing files
    mine = missing[accelerator.process_index :: accelerator.num_processes]
    for chunk in tqdm(mine, desc="pairs", unit="file", disable=not accelerator.is_main_process):
        path = _file_of(out, chunk, recipe)
        with atomic_write(path) as unfinished:
            pairs = _draw_chunk(teacher, ids, chunk, recipe)
            save_file(pairs, unfinished, _about(path, drawn_by))
    accelerator.wait_for_everyone()
    paths = [_file_of(out, chunk, recipe) for chunk in chunks]
    drawn = [
        _read_chunk(path, teacher, len(c), drawn_by) for path, c in zip(paths, chunks, strict=True)
    ]
    z_0, z_1 = (torch.cat([chunk[name] for chunk in drawn]) for name in ("z_0", "z_1"))
    return Pairs(ids, z_0, z_1)


def _read_chunk(
    path: Path, teacher: JanusFlowPipeline, number: int, drawn_by: str
) -> dict[str, Tensor]:
    """Read a file of pairs. Raises InputError if it is damaged or of others: it can be drawn anew."""
    shapes = dict.fromkeys(("z_0", "z_1"), torch.Size((number, *teacher.latent_shape)))
    try:
        pairs = read_safetensors(path, shapes, torch.float32, "cpu")
        if read_about(path) != _about(path, drawn_by):
            raise InputError(f"{path} holds the pairs of another file, or of another teacher")
        return pairs
    except InputError as error:
        raise InputError(f"{error}; delete it, and its pairs are drawn anew") from None


def _about(path: Path, drawn_by: str) -> dict[str, str]:
    """Return what a file of pairs says about itself: a renamed one would bring other noises and ends."""
    return {"teacher": drawn_by, "pairs": f"{path.parent.name}/{path.stem}"}


def _file_of(out: Path, chunk: range, recipe: ReflowRecipe) -> Path:
    """Return the file of a chunk. Its name says how it was drawn, so no other run takes it."""
    grid = f"steps-{recipe.teacher_steps}-shift-{recipe.shift:g}"
    how = f"seed-{recipe.seed}-{grid}-weight-{recipe.cfg_weight:g}"
    return out / "pairs" / how / f"{chunk.start:06d}-{chunk.stop:06d}.safetensors"


def _draw_chunk(
    teacher: JanusFlowPipeline, ids: Sequence[Tensor], chunk: range, recipe: ReflowRecipe
) -> dict[str, Tensor]:
    """Return the pairs with these numbers: z_0 and z_1.

    A noise that the teacher takes to a wrong picture is drawn again, because a student learns its
    teacher's mistakes as well. After DRAWS noises the last one is kept.
    """
    kept: dict[int, tuple[Tensor, Tensor]] = {}
    wrong = list(chunk)
    for draw in range(DRAWS):
        if wrong:
            z_0, z_1 = _draw_pairs(teacher, [ids[i] for i in wrong], wrong, draw, recipe)
            kept |= dict(zip(wrong, zip(z_0, z_1, strict=True), strict=True))
            wrong = _wrong(teacher, z_1, wrong, recipe.seed)
    z_0, z_1 = (torch.stack([kept[i][end] for i in chunk]) for end in (0, 1))
    return {"z_0": z_0, "z_1": z_1}


def _draw_pairs(
    teacher: JanusFlowPipeline,
    ids: Sequence[Tensor],
    numbers: Sequence[int],
    draw: int,
    recipe: ReflowRecipe,
) -> tuple[Tensor, Tensor]:
    """Return noises and their ends. Each noise is drawn from (seed, its number, draw) alone."""
    generators = [generator_of(recipe.seed, NOISE, i, draw) for i in numbers]
    z_0 = image_noise(teacher.latent_shape, len(numbers), generators)
    return z_0, follow_teacher(teacher.model, ids, z_0, teacher.tokenizer.pad_token_id, recipe)


def _wrong(teacher: JanusFlowPipeline, z_1: Tensor, numbers: Sequence[int], seed: int) -> list[int]:
    """Return the numbers of the pairs whose picture does not show its caption."""
    captions = [draw_example(i, seed)[0] for i in numbers]
    right = are_satisfied(teacher.to_pictures(z_1.to(teacher.model.device)), captions)
    return [i for i, is_right in zip(numbers, right, strict=True) if not is_right]


def _train(
    out: Path,
    accelerator: Accelerator,
    teacher: JanusFlowPipeline,
    student: JanusFlow,
    pairs: Pairs,
    recipe: ReflowRecipe,
    source: str,
) -> None:
    """Train the student on the pairs, and write the checkpoint at each save."""
    vae, tokenizer = teacher.vae, teacher.tokenizer
    shown = SmallWorld(recipe.pairs, recipe.seed).shown

    def report(averaged: JanusFlow, losses: list[float]) -> None:
        if not is_written(out, "reflow", averaged, tokenizer):
            pipe = JanusFlowPipeline(averaged, vae, tokenizer)
            samples = draw_samples(pipe, shown, steps=1, cfg_weight=1.0)
            write_progress(out, "reflow", losses, samples)
            write_checkpoint(out, averaged, tokenizer)

    if accelerator.is_main_process:
        with atomic_directory(out / "vae") as unfinished:
            vae.save_pretrained(unfinished)
    state = out / "reflow.training.safetensors"
    train_student(
        student.train(), pairs, tokenizer.pad_token_id, state, accelerator, report, recipe, source
    )
