"""The command bench: where the time of a step goes."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from janus_minimal.cli.names import file_option
from janus_minimal.cli.options import DeviceOption, Dtype
from janus_minimal.cli.outputs import after_writing, check_outputs
from janus_minimal.cli.write import write_figure, write_json
from janus_minimal.runtime.device import pick_device

Size = Literal["small", "middle", "released"]


def bench(
    size: Annotated[
        Size,
        typer.Option(
            help="The bundled model's size (small), the released model's, or one between them."
        ),
    ] = "small",
    images: Annotated[int, typer.Option(min=1, max=4096, help="B, the images in a batch.")] = 1,
    prompt_tokens: Annotated[
        int, typer.Option(min=1, max=4096, help="L, the tokens of the prompt.")
    ] = 20,
    rounds: Annotated[
        int, typer.Option(min=1, max=10**6, help="How many times everything is measured.")
    ] = 10,
    device: DeviceOption = None,
    dtype: Annotated[Dtype, typer.Option(help="The weights' dtype.")] = "float32",
    compiled: Annotated[
        bool, typer.Option("--compile", help="Also time our loop with torch.compile.")
    ] = False,
    json_file: Annotated[
        Path | None,
        file_option("--json", help="Also write the report to this file."),
    ] = None,
    plot: Annotated[
        Path | None,
        file_option(help="Also draw the report as a PNG."),
    ] = None,
) -> None:
    """Time one step, its stages, and the work that the KV cache saves. The weights are random."""
    check_outputs([json_file, plot])
    import torch
    from tqdm.auto import tqdm

    from janus_minimal.bench.measure import measure
    from janus_minimal.figures.plots import bars

    where = pick_device(device)
    with tqdm(unit="run") as bar:
        report = measure(
            size, images, prompt_tokens, rounds, getattr(torch, dtype), where, compiled, bar
        )
    typer.echo(report.to_table())
    if json_file:
        write_json(json_file, report.to_dict())
    if plot:
        with after_writing(*filter(None, [json_file])):
            write_figure(plot, lambda: bars(*report.to_bars()))
