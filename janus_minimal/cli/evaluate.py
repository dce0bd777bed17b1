"""The command evaluate: how many pictures of the small world show what their captions say."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from janus_minimal.cli.names import file_option
from janus_minimal.cli.options import (
    CFG_WEIGHT,
    STEPS,
    CheckpointOption,
    DeviceOption,
    StepsOption,
    VaeOption,
    WeightOption,
)
from janus_minimal.cli.outputs import check_outputs
from janus_minimal.cli.say import say
from janus_minimal.cli.write import write_json
from janus_minimal.runtime.device import pick_device

if TYPE_CHECKING:
    from janus_minimal.pipeline import JanusFlowPipeline
    from janus_minimal.shapes.report import Evaluation


def evaluate(
    checkpoint: CheckpointOption = "shapes",
    vae: VaeOption = None,
    captions: Annotated[
        int, typer.Option(min=1, max=100_000, help="The number of new captions in each category.")
    ] = 100,
    steps: StepsOption = STEPS,
    cfg_weight: WeightOption = CFG_WEIGHT,
    seed: Annotated[
        int, typer.Option(min=0, max=2**62, help="The seed of the captions and of the noise.")
    ] = 0,
    device: DeviceOption = None,
    json_file: Annotated[
        Path | None,
        file_option(
            "--json", help="Write the report, with the answer for each picture, to this file."
        ),
    ] = None,
) -> None:
    """Score the small world's pictures against their captions, by category."""
    check_outputs([json_file], [checkpoint, vae])
    from janus_minimal.pipeline import JanusFlowPipeline

    pipe = JanusFlowPipeline.from_pretrained(checkpoint, vae, device=pick_device(device))
    report = _score(pipe, captions, steps, cfg_weight, seed)
    if json_file is None:
        return typer.echo(report.to_table())
    write_json(json_file, report.to_dict())
    say(f"overall {report.overall:.3f}: {json_file}")


def _score(
    pipe: "JanusFlowPipeline", captions: int, steps: int, cfg_weight: float, seed: int
) -> "Evaluation":
    from tqdm.auto import tqdm

    from janus_minimal.shapes.caption import CATEGORIES
    from janus_minimal.shapes.evaluate import check_size, score_pipeline

    check_size(pipe)  # here, too, so that no bar stands above the refusal

    with tqdm(total=captions * len(CATEGORIES), unit="picture") as bar:
        return score_pipeline(pipe, captions, steps, cfg_weight, seed, bar.update)
