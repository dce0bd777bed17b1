"""The command generate: captions become pictures."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from janus_minimal.cli.names import file_name, file_option, folder_name
from janus_minimal.cli.options import (
    CFG_WEIGHT,
    PICTURE,
    STEPS,
    CheckpointOption,
    DeviceOption,
    Dtype,
    DtypeOption,
    NumImagesOption,
    SeedOption,
    ShiftOption,
    SolverOption,
    StepsOption,
    VaeOption,
    WeightOption,
)
from janus_minimal.cli.outputs import after_writing, check_outputs
from janus_minimal.cli.say import say
from janus_minimal.cli.write import write_figure, write_sheet
from janus_minimal.errors import InputError, one_line
from janus_minimal.runtime.device import pick_device

if TYPE_CHECKING:
    from janus_minimal.figures.film import Film
    from janus_minimal.pipeline import JanusFlowPipeline

OUT = "'--out'"  # as messages name an option
FOLDER = Path("pictures")
LARGE = 100_000_000  # parameters: above, a step takes seconds on a CPU

Load = Callable[[], "JanusFlowPipeline"]


def generate(
    prompt: Annotated[
        str | None, typer.Argument(help='For example "a red circle left of a blue square".')
    ] = None,
    checkpoint: CheckpointOption = "shapes",
    vae: VaeOption = None,
    steps: StepsOption = STEPS,
    cfg_weight: WeightOption = CFG_WEIGHT,
    solver: SolverOption = "euler",
    shift: ShiftOption = 1.0,
    num_images: NumImagesOption = 4,
    seed: SeedOption = 0,
    device: DeviceOption = None,
    dtype: DtypeOption = "float32",
    out: Annotated[
        str | None,  # a file's name or a folder's, which differ in what they may be
        typer.Option(
            metavar="<path>",
            help="The PNG, or the folder of --prompts; left out: picture.png, or pictures.",
        ),
    ] = None,
    strip: Annotated[
        bool,
        typer.Option(
            "--strip", help="Also write OUT-strip.png: the denoised predictions z + (1 - t) v."
        ),
    ] = False,
    latent: Annotated[
        Path | None,
        file_option(help="Write the latents to this file, and no picture. See decode."),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="A file of prompts, one a line, instead of one prompt.")
    ] = None,
) -> None:
    """Make pictures of a prompt and write them as one PNG; for a file of prompts, write a folder of PNGs.

    With --prompts, an interrupted run continues where it stopped.
    Several processes divide the prompts: `accelerate launch -m janus_minimal generate --prompts ...`.
    """
    settings: dict[str, Any] = {
        "steps": steps,
        "cfg_weight": cfg_weight,
        "num_images": num_images,
        "seed": seed,
    }
    settings |= {"solver": solver, "shift": shift}
    load = partial(load_pipeline, checkpoint, vae, dtype, device)
    if (prompt is None) == (prompts is None):
        raise InputError(
            "generate takes one prompt, or a file of them with --prompts: expected one of the two"
        )
    if latent and (out is not None or strip):
        raise InputError(
            "--latent writes the latents and no picture: expected neither --out nor --strip with it"
        )
    if prompts is None:
        request = {"prompt": prompt, **settings}
        picture = None if latent else file_name(PICTURE if out is None else out, OUT)
        frames = picture.parent / f"{picture.stem}-strip.png" if picture and strip else None
        check_outputs([picture, frames, latent], [checkpoint, vae])
        _generate_sheet(load, request, picture, frames, latent)
    elif strip or latent:
        raise InputError(
            "--prompts writes only sheets of pictures: expected no --strip and no --latent"
        )
    else:
        folder = folder_name(FOLDER if out is None else out, OUT)
        _generate_album(load, device, prompts, settings, folder)


def load_pipeline(
    checkpoint: str, vae: str | None, dtype: Dtype, device: str | None
) -> "JanusFlowPipeline":
    """Load what draws, as the options say. Tell a user without a GPU if it will take minutes."""
    import torch

    from janus_minimal.pipeline import JanusFlowPipeline

    pipe = JanusFlowPipeline.from_pretrained(
        checkpoint, vae, getattr(torch, dtype), pick_device(device)
    )
    parameters = sum(parameter.numel() for parameter in pipe.model.parameters())
    if pipe.model.device.type == "cpu" and parameters > LARGE:
        say(
            f"no GPU: with {parameters:,} parameters a step takes seconds, all steps take minutes",
            err=True,
        )
    return pipe


def _generate_sheet(
    load: Load,
    request: dict[str, Any],
    picture: Path | None,
    frames: Path | None,
    latent: Path | None,
) -> None:
    from janus_minimal.figures.film import Film
    from janus_minimal.jobs.request import Request

    pipe, name = load(), one_line(request["prompt"])
    film = Film() if frames else None  # it keeps the prediction of every step in memory
    latents = Request(**request).draw(pipe, film)
    if latent:
        _write_latents(latent, latents, name)
    if picture:
        write_sheet(picture, pipe.to_pictures(latents))
        say(f'{len(latents)} pictures of "{name}": {picture}')
    if picture and frames and film:
        with after_writing(picture):
            _write_strip(frames, pipe, film, name)


def _write_latents(path: Path, latents: Any, prompt: str) -> None:
    from janus_minimal.loading.latents import write_latents

    write_latents(path, latents)
    say(f'{len(latents)} latents of "{prompt}": {path}')


def _write_strip(path: Path, pipe: "JanusFlowPipeline", film: "Film", prompt: str) -> None:
    from janus_minimal.figures.plots import film_strip

    title = f'"{prompt}": the denoised prediction z + (1 - t) v'
    write_figure(path, lambda: film_strip(*film.develop(pipe), title))
    say(f"the denoised predictions, step by step: {path}")


def _generate_album(
    load: Load, device: str | None, prompts: Path, settings: dict[str, Any], folder: Path
) -> None:
    from accelerate import PartialState

    from janus_minimal.jobs.album import make_album, read_prompts
    from janus_minimal.jobs.request import Request
    from janus_minimal.runtime.processes import begin_together

    lines, where = read_prompts(prompts), pick_device(device)
    process = begin_together(PartialState, where)  # picks this process's own GPU
    paths = make_album(load(), lines, Request("", **settings), folder)
    if process.is_main_process:
        say(f"{len(paths)} sheets of the prompts in {prompts}: {paths[0]} to {paths[-1]}")
