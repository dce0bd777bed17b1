"""Options that several commands share, and their defaults."""

from pathlib import Path
from typing import Annotated, Literal

import typer

STEPS = 30
CFG_WEIGHT = 2.0
PICTURE = Path("picture.png")

Solver = Literal["euler", "midpoint", "heun", "adams-bashforth"]
Dtype = Literal["float32", "bfloat16", "float16"]

CheckpointOption = Annotated[
    str,
    typer.Option(
        help='"shapes", or "shapes-few" with weight 1 (both come with the package), a directory in the '
        "official layout, or a hub repository."
    ),
]
VaeOption = Annotated[
    str | None,
    typer.Option(
        help="The VAE's directory or hub repository; left out: the folder vae of the checkpoint."
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        help="cpu, cuda, mps, ...; left out: the accelerator of this machine where there is one."
    ),
]
TrainDeviceOption = Annotated[  # accelerate picks among several accelerators
    str | None,
    typer.Option(help="cpu: do not use the accelerator of this machine, if there is one."),
]
DtypeOption = Annotated[
    Dtype, typer.Option(help="The weights' dtype. Times and latents are always float32.")
]
NumImagesOption = Annotated[int, typer.Option(help="The number of pictures on the sheet.")]
SeedOption = Annotated[
    int, typer.Option(min=0, max=2**62, help="Image i starts from the noise of seed + i.")
]
StepsOption = Annotated[int, typer.Option(help="Steps of the solver from noise to picture.")]
WeightOption = Annotated[
    float,
    typer.Option(
        help="Classifier-free guidance: 0 ignores the prompt, 1 is no guidance, above 1 follows it more."
    ),
]
SolverOption = Annotated[
    Solver, typer.Option(help="midpoint and heun ask the network twice a step, the others once.")
]
ShiftOption = Annotated[
    float,
    typer.Option(
        min=0.01, max=100.0, help="Of the time grid: above 1, more of the steps are taken early."
    ),
]
