"""The command line: generate, decode, evaluate, bench, inspect, train.

Heavy libraries are imported where they are needed, so that help and refusals come at once.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from janus_minimal.device import pick_device
from janus_minimal.errors import InputError
from janus_minimal.files import check_writable, make_directory, whole

if TYPE_CHECKING:
    from janus_minimal.film import Film
    from janus_minimal.pipeline import JanusFlowPipeline

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

CheckpointOption = Annotated[
    str, typer.Option(help='"shapes", which is bundled, a directory of the official layout, or a hub repository.')
]
VaeOption = Annotated[
    str | None, typer.Option(help="The VAE's directory or hub repository; left out: the checkpoint's folder vae.")
]
OutOption = Annotated[Path, typer.Option(help="The PNG to write.")]
Model = tuple[str, str | None, str, str | None]  # checkpoint, VAE, dtype, device
INTERRUPTED = 130  # typer's status after Ctrl-C
Size = Literal["small", "middle", "released"]
Dtype = Literal["float32", "bfloat16", "float16"]
DeviceOption = Annotated[str | None, typer.Option(help="cpu or cuda; left out: a GPU where there is one.")]
StepsOption = Annotated[int, typer.Option(help="Euler steps from noise to picture.")]
WeightOption = Annotated[float, typer.Option(help="Guidance: 0 ignores the caption, 1 obeys it, more insists on it.")]


@app.callback()
def janus_minimal() -> None:
    """JanusFlow, step by step: captions become pictures."""


@app.command()
def generate(
    prompt: Annotated[str | None, typer.Argument(help='Say "a red circle left of a blue square".')] = None,
    checkpoint: CheckpointOption = "shapes",
    vae: VaeOption = None,
    steps: StepsOption = 30,
    cfg_weight: WeightOption = 2.0,
    num_images: Annotated[int, typer.Option(help="Pictures on the sheet.")] = 4,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Image i starts from the noise of seed + i.")] = 0,
    device: DeviceOption = None,
    dtype: Annotated[Dtype, typer.Option(help="Of the weights; time and latents are float32 always.")] = "float32",
    out: Annotated[Path | None, typer.Option(help="The PNG [picture.png]; with --prompts a folder [pictures].")] = None,
    strip: Annotated[bool, typer.Option("--strip", help="Also write OUT-strip.png, the guess on the way.")] = False,
    latent: Annotated[Path | None, typer.Option(help="Write the latents there, and no picture: see decode.")] = None,
    prompts: Annotated[Path | None, typer.Option(help="A file of prompts, one a line, instead of one prompt.")] = None,
) -> None:
    """Make pictures of a caption and write them as one PNG; of a file of captions, a folder of them.

    With --prompts a run that was interrupted goes on, and `accelerate launch -m janus_minimal generate --prompts ...`
    shares the captions out among processes.
    """
    if (prompt is None) == (prompts is None):
        raise InputError("generate draws one prompt, or the file of --prompts: right would be one of the two")
    asked = {"steps": steps, "cfg_weight": cfg_weight, "num_images": num_images, "seed": seed}
    model = (checkpoint, vae, dtype, device)
    if prompts is not None:
        return _album(prompts, out or Path("pictures"), model, asked, bool(strip or latent))
    _one_sheet({"prompt": prompt, **asked}, out or Path("picture.png"), model, strip, latent)


def _pipeline(checkpoint: str, vae: str | None, dtype: str, device: str | None) -> "JanusFlowPipeline":
    import torch

    from janus_minimal.pipeline import JanusFlowPipeline

    pipe = JanusFlowPipeline.from_pretrained(checkpoint, vae, getattr(torch, dtype), pick_device(device))
    _warn_of_patience(pipe)
    return pipe


def _album(prompts: Path, folder: Path, model: Model, asked: dict[str, Any], more: bool) -> None:
    from accelerate import PartialState

    from janus_minimal.album import make_album, read_prompts
    from janus_minimal.request import Request

    if more:
        raise InputError("--prompts makes sheets of pictures alone: right would be no --strip and no --latent")
    lines, on_cpu = read_prompts(prompts), pick_device(model[-1]).type == "cpu"
    process = PartialState(cpu=on_cpu)  # which picks this process's own GPU
    paths = make_album(_pipeline(*model), lines, Request("", **asked), folder)
    if process.is_main_process:
        typer.echo(f"{len(paths)} sheets of the prompts in {prompts}: {paths[0]} to {paths[-1]}")


def _one_sheet(asked: dict[str, Any], out: Path, model: Model, strip: bool, latent: Path | None) -> None:
    from janus_minimal.film import Film
    from janus_minimal.latents import write_latents
    from janus_minimal.request import Request

    check_writable(latent or out)
    pipe, request, film = _pipeline(*model), Request(**asked), Film()
    latents = request.draw(pipe, film)
    if latent:
        write_latents(latent, latents)
        return typer.echo(f'{len(latents)} latents of "{request.prompt}": {latent}')
    _write_sheet(pipe.to_pictures(latents), f'of "{request.prompt}"', out)
    if strip:
        _write_strip(pipe, film, request.prompt, out.with_name(f"{out.stem}-strip.png"))


@app.command()
def decode(
    latent: Annotated[Path, typer.Argument(help="What generate --latent wrote.")],
    vae: Annotated[str, typer.Option(help="The VAE's directory, or its hub repository.")],
    device: DeviceOption = None,
    out: OutOption = Path("picture.png"),
) -> None:
    """Make pictures of latents and write them as one PNG."""
    from janus_minimal.hub import VAE_FILES, find_checkpoint
    from janus_minimal.latents import read_latents
    from janus_minimal.vae import load_vae, to_pictures

    check_writable(out)
    where = pick_device(device)
    decoder = load_vae(find_checkpoint(vae, files=VAE_FILES), where)
    latents = read_latents(latent, decoder.config.latent_channels)
    _write_sheet(to_pictures(decoder, latents.to(where)), f"of {latent}", out)


def _write_sheet(pictures: Sequence[Any], of: str, path: Path) -> None:
    from janus_minimal.sheet import sheet

    with whole(path) as unfinished:
        sheet(pictures, columns=4).save(unfinished, format="png")
    typer.echo(f"{len(pictures)} pictures {of}: {path}")


def _warn_of_patience(pipe: "JanusFlowPipeline") -> None:
    parameters = sum(parameter.numel() for parameter in pipe.model.parameters())
    if pipe.model.device.type == "cpu" and parameters > 100_000_000:
        typer.echo(f"no GPU: with {parameters:,} parameters each step takes seconds, the whole minutes", err=True)


def _write_strip(pipe: "JanusFlowPipeline", film: "Film", prompt: str, path: Path) -> None:
    from janus_minimal.plots import film_strip

    figure = film_strip(*film.develop(pipe), f'"{prompt}": the guess z + (1 - t) v')
    with whole(path) as unfinished:
        figure.savefig(unfinished, dpi=150, format="png")
    typer.echo(f"the guesses on the way: {path}")


@app.command()
def evaluate(
    checkpoint: CheckpointOption = "shapes",
    vae: VaeOption = None,
    captions: Annotated[int, typer.Option(min=1, help="Fresh captions of each category.")] = 100,
    steps: StepsOption = 30,
    cfg_weight: WeightOption = 2.0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other captions and noise.")] = 0,
    device: DeviceOption = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report there.")] = None,
) -> None:
    """Score the small world's pictures against their captions, by category."""
    from tqdm.auto import tqdm

    from janus_minimal.pipeline import JanusFlowPipeline
    from janus_minimal.shapes.caption import CATEGORIES
    from janus_minimal.shapes.evaluate import score_pipeline

    if json_file is not None:
        check_writable(json_file)
    pipe = JanusFlowPipeline.from_pretrained(checkpoint, vae, device=pick_device(device))
    with tqdm(total=captions * len(CATEGORIES), unit="picture") as bar:
        report = score_pipeline(pipe, captions, steps, cfg_weight, seed, bar.update)
    if json_file is None:
        return typer.echo(report.to_table())
    with whole(json_file) as unfinished:
        unfinished.write_text(json.dumps(report.to_dict(), indent=2) + "\n")
    typer.echo(f"overall {report.overall:.3f}: {json_file}")


@app.command()
def bench(
    size: Annotated[Size, typer.Option(help="Of the bundled model, of the released one, or between.")] = "small",
    images: Annotated[int, typer.Option(min=1, help="B, images at a time.")] = 1,
    prompt_tokens: Annotated[int, typer.Option(min=1, max=4096, help="L, how long the prompt is.")] = 20,
    rounds: Annotated[int, typer.Option(min=1, help="How often everything is timed.")] = 10,
    device: DeviceOption = None,
    dtype: Annotated[Dtype, typer.Option(help="Of the weights.")] = "float32",
    compiled: Annotated[bool, typer.Option("--compile", help="Also time our loop compiled.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the report there.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw it there, as a PNG.")] = None,
) -> None:
    """Time a step, its stages, and what it is spared, on random weights."""
    import torch
    from tqdm.auto import tqdm

    from janus_minimal.bench.measure import measure
    from janus_minimal.plots import bars

    for path in filter(None, (json_file, plot)):
        check_writable(path)
    with tqdm(unit="run") as bar:
        where = pick_device(device)
        report = measure(size, images, prompt_tokens, rounds, getattr(torch, dtype), where, compiled, bar)
    typer.echo(report.to_table())
    if json_file:
        with whole(json_file) as unfinished:
            unfinished.write_text(json.dumps(report.to_dict(), indent=2) + "\n")
    if plot:
        with whole(plot) as unfinished:
            bars(*report.to_bars()).savefig(unfinished, dpi=150, format="png")


@app.command()
def inspect(
    checkpoint: Annotated[str, typer.Argument(help='"shapes", or a directory of the official layout.')] = "shapes",
) -> None:
    """Print the module tree: official key names, shapes, parameters."""
    from rich import print as show

    from janus_minimal.model import JanusFlow
    from janus_minimal.tree import module_tree

    show(module_tree(JanusFlow.from_pretrained(checkpoint), checkpoint))


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Where to train; a run that was interrupted there goes on.")],
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the flow.")] = None,
    vae_steps: Annotated[int | None, typer.Option(min=1, help="Steps of the VAE.")] = None,
    examples: Annotated[int | None, typer.Option(min=1, help="Scenes that the flow learns from.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Scenes in one step.")] = None,
    save_every: Annotated[int | None, typer.Option(min=1, help="Steps between two checkpoints.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of everything that is drawn at random.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu: keep off a GPU that is there.")] = None,
) -> None:
    """Train the small model from nothing, VAE and flow. What is left out is as for the bundled model."""
    from accelerate import Accelerator

    from janus_minimal.shapes.run import EXAMPLES, train_all
    from janus_minimal.shapes.train import FLOW_RECIPE
    from janus_minimal.shapes.vae import VAE_RECIPE

    changed = {"batch_size": batch_size, "save_every": save_every, "seed": seed}
    make_directory(out)
    train_all(
        out,
        Accelerator(cpu=pick_device(device).type == "cpu"),
        _changed(VAE_RECIPE, steps=vae_steps, **changed),
        _changed(FLOW_RECIPE, steps=steps, **changed),
        EXAMPLES if examples is None else examples,
    )


def _changed(recipe: Any, **fields: int | None) -> Any:
    return replace(recipe, **{name: value for name, value in fields.items() if value is not None})


def main() -> None:
    """Run the command line: an InputError is one line and status 2, an interruption one line and status 130."""
    try:
        app()
    except InputError as error:
        typer.echo(f"janus-minimal: {error}", err=True)
        raise SystemExit(2) from None
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            typer.echo("\njanus-minimal: interrupted; the files are as they were last written", err=True)
        raise
