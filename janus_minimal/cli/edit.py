"""The command edit: a picture is changed to follow a caption, in whole or in part."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from janus_minimal.cli.names import file_option
from janus_minimal.cli.options import (
    CFG_WEIGHT,
    PICTURE,
    STEPS,
    CheckpointOption,
    DeviceOption,
    NumImagesOption,
    SeedOption,
    ShiftOption,
    SolverOption,
    StepsOption,
    VaeOption,
    WeightOption,
)
from janus_minimal.cli.outputs import check_outputs
from janus_minimal.cli.say import say
from janus_minimal.cli.write import write_sheet
from janus_minimal.errors import one_line
from janus_minimal.runtime.device import pick_device

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from janus_minimal.jobs.request import Request
    from janus_minimal.pipeline import JanusFlowPipeline


def edit(
    prompt: Annotated[
        str, typer.Argument(help="What the result shall show, all of it, not only what is new.")
    ],
    image: Annotated[
        Path, typer.Option(help="The picture to begin with: a PNG, JPEG or WebP file.")
    ],
    mask: Annotated[
        Path | None,
        typer.Option(
            help="A picture of the same size, white where something new shall be drawn; left out: everywhere."
        ),
    ] = None,
    strength: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="0 keeps the picture, 1 forgets it, inside the mask."),
    ] = 1.0,
    checkpoint: CheckpointOption = "shapes",
    vae: VaeOption = None,
    steps: StepsOption = STEPS,
    cfg_weight: WeightOption = CFG_WEIGHT,
    solver: SolverOption = "euler",
    shift: ShiftOption = 1.0,
    num_images: NumImagesOption = 4,
    seed: SeedOption = 0,
    device: DeviceOption = None,
    out: Annotated[Path, file_option(help="The PNG to write.")] = PICTURE,
) -> None:
    """Change a picture to follow a prompt, and write the results as one PNG.

    With --strength below 1, its layout is kept, and details follow the prompt (image-to-image).
    With --mask, the rest of the picture is kept (inpainting).
    """
    check_outputs([out], [image, mask, checkpoint, vae])
    from janus_minimal.jobs.request import Request
    from janus_minimal.loading.picture import read_mask, read_picture
    from janus_minimal.pipeline import JanusFlowPipeline

    picture = read_picture(image)
    marks = None if mask is None else read_mask(mask, picture)
    pipe = JanusFlowPipeline.from_pretrained(checkpoint, vae, device=pick_device(device))
    request = Request(prompt, steps, cfg_weight, num_images, seed, solver, shift)
    latents = _edit(pipe, request, picture, marks, strength)
    write_sheet(out, pipe.to_pictures(latents))
    say(f'{len(latents)} pictures of "{one_line(prompt)}", from {image}: {out}')


def _edit(
    pipe: "JanusFlowPipeline",
    request: "Request",
    picture: "Image",
    marks: "Image | None",
    strength: float,
) -> "Tensor":
    import torch

    from janus_minimal.loading.vae import encode_mask, encode_picture

    request.check(pipe)  # before a picture is made as large as a config may say
    size = pipe.model.config.image_size
    latent = encode_picture(pipe.vae, picture, size)
    everywhere = torch.ones_like(latent[:, :1], dtype=torch.bool)
    mask = everywhere if marks is None else encode_mask(pipe.vae, marks, size)
    return request.edit(pipe, latent, mask, strength)
