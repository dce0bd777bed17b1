"""The VAE, diffusers' AutoencoderKL: from latents to pictures, and from a picture to its latent.

JanusFlow's loop works on latents, which a VAE (variational autoencoder) turns into pictures. The
released model uses the VAE of Stable Diffusion XL: a picture of 3 x 384 x 384 numbers becomes a
latent of 4 x 48 x 48. The VAE is trained separately, and its latents do not have unit variance. Its
config gives a scaling factor, 0.13025 there: latents in the loop are the VAE's latents times this
factor.

diffusers could load the VAE's directory itself. It prefers other files to the one that we check: an
index, whose shards may be pickles, which can run any code when they are loaded. So only two files
are read, both by us. diffusers builds the network from the config, and our strict reader fills it.

B  images
c  channels of a latent
H  height of a latent
W  width of a latent
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor
from einops import reduce
from jaxtyping import Bool, Float, Float32
from PIL import Image, ImageOps
from pydantic import Field, TypeAdapter, ValidationError
from torch import Tensor

from janus_minimal.errors import CheckpointError, InputError, quoted
from janus_minimal.loading.json_file import LARGEST_CONFIG, read_json, warn_of_unknown
from janus_minimal.loading.picture import to_rgb
from janus_minimal.loading.weights import read_safetensors, safetensors_keys
from janus_minimal.runtime.checks import dense_latents, one_of
from janus_minimal.runtime.precision import without_autocast

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"
SHIFTS = ("shift_factor", "latents_mean", "latents_std")
# The attention layers' names before and since diffusers 0.18. Files of both kinds are around.
RENAMED = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}

Width = Annotated[int, Field(gt=0, le=4096)]
DownBlock = Literal["DownEncoderBlock2D", "AttnDownEncoderBlock2D"]
UpBlock = Literal["UpDecoderBlock2D", "AttnUpDecoderBlock2D"]


@dataclass(frozen=True)
class VaeConfig:
    """The settings of AutoencoderKL, with diffusers' names and defaults.

    One entry of block_out_channels for each level; every level but the last halves the picture's
    sides. Each number has an upper bound beyond any real VAE, because the network is built from
    these numbers before the weights are looked at.
    """

    in_channels: Literal[3] = 3
    out_channels: Literal[3] = 3
    down_block_types: tuple[DownBlock, ...] = ("DownEncoderBlock2D",)
    up_block_types: tuple[UpBlock, ...] = ("UpDecoderBlock2D",)
    block_out_channels: Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)] = (64,)
    layers_per_block: Annotated[int, Field(gt=0, le=16)] = 1
    act_fn: Literal["silu", "swish", "mish", "gelu", "relu"] = "silu"
    latent_channels: Annotated[int, Field(gt=0, le=256)] = 4
    norm_num_groups: Annotated[int, Field(gt=0, le=1024)] = 32
    sample_size: Annotated[int, Field(gt=0, le=2**16)] = 32
    scaling_factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.18215
    force_upcast: bool = True
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True
    mid_block_add_attention: bool = True


def load_vae(directory: Path, device: torch.device | str = "cpu") -> AutoencoderKL:
    """Load the VAE of a directory in diffusers' layout, in float32. Raises CheckpointError.

    Only config.json and diffusion_pytorch_model.safetensors are read; no other file is opened.
    Every weight of the network must be in the file, with its shape, finite, and nothing else may be
    there.
    """
    vae = _build(directory / CONFIG)
    path = directory / WEIGHTS
    stored = _stored_names(path, vae)
    shapes = {stored[key]: tensor.shape for key, tensor in vae.state_dict().items()}
    weights = read_safetensors(path, shapes, torch.float32, device)
    vae.load_state_dict({key: weights[name] for key, name in stored.items()}, assign=True)
    return vae.eval()


def pixels_per_latent(vae: AutoencoderKL) -> int:
    """Return how many pixels wide one latent value is: 8 for SDXL's VAE, which has four levels."""
    return int(2 ** (len(vae.config.block_out_channels) - 1))


def unusual(vae: AutoencoderKL) -> list[str]:
    """Return the settings that change pictures, and no weight's name or shape, where they are unusual.

    A fingerprint of weights does not see the activation and the number of groups of the norms. SiLU
    and 32 groups are usual (fewer for a narrow VAE: half of its first width). Whoever adds only what
    is unusual to a fingerprint keeps those that were stored before.
    """
    groups = min(32, vae.config.block_out_channels[0] // 2)
    usual = {"act_fn": ("silu", "swish"), "norm_num_groups": (groups,)}
    own = {name: vae.config.get(name, known[0]) for name, known in usual.items()}
    return [f"{name} {value}" for name, value in own.items() if value not in usual[name]]


@torch.no_grad()
def to_pictures(
    vae: AutoencoderKL, latents: Float[Tensor, "B c H W"], output_type: str = "pil"
) -> Any:
    """Decode latents: divide by the scaling factor, run the decoder, map -1..1 to colours.

    Values beyond -1..1 are clamped. `output_type` is "pil", "np" or "pt": a list of PIL pictures,
    an array [B, height, width, 3] or a tensor [B, 3, height, width] with values in 0..1. The VAE
    computes in its own dtype, whatever the loop's is. Official source: demo/app_janusflow.py.

    Raises InputError for what are no latents of this VAE, for another output type, and if a pixel is
    NaN or infinite, which would be shown as a plain colour.
    """
    one_of("output_type", output_type, ("pil", "np", "pt"))
    channels = vae.config.latent_channels
    latents = dense_latents(latents)
    if latents.ndim != 4 or latents.shape[1] != channels or 0 in latents.shape[2:]:
        raise InputError(
            f"latents of shape {list(latents.shape)}: expected [images, {channels}, H, W]"
        )
    with without_autocast(vae.device):
        pixels = vae.decode(latents.to(vae.device, vae.dtype) / vae.config.scaling_factor).sample
    if not pixels.isfinite().all():
        raise InputError(
            "the decoded picture is not finite: expected smaller latents, or a VAE in float32"
        )
    return VaeImageProcessor().postprocess(pixels, output_type=output_type)


@torch.no_grad()
def encode_picture(
    vae: AutoencoderKL, picture: Image.Image, image_size: int
) -> Float32[Tensor, "1 c H W"]:
    """Encode a user's picture as a latent of the loop, the opposite of `to_pictures`.

    Image-to-image needs this: the picture's latent is mixed with noise and the loop starts there.
    The picture is turned upright as its EXIF data say, its short side is resized to `image_size`,
    and the centre is cut out of the long side. Transparent parts become white.

    The encoder describes a normal distribution of latents. We take its mean, so that the same
    picture always gives the same latent, and multiply it by the scaling factor. The result is on
    the CPU, as noise is. For the released model, a photo of 1200 x 800 pixels is cut to 384 x 384
    and gives a latent of 1 x 4 x 48 x 48. Raises InputError for a picture of more than 8 bits a
    channel.
    """
    square = ImageOps.fit(to_rgb(picture), (image_size, image_size), Image.Resampling.LANCZOS)
    pixels = VaeImageProcessor(do_resize=False).preprocess(square)  # [1, 3, size, size], in -1..1
    with without_autocast(vae.device):
        mean = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist.mean
    return (mean * vae.config.scaling_factor).float().cpu()


def encode_mask(vae: AutoencoderKL, mask: Image.Image, image_size: int) -> Bool[Tensor, "1 1 H W"]:
    """Return which places of a latent a black and white picture marks: True where it is white.

    Inpainting needs this. The mask is cut and resized as `encode_picture` does it with the picture
    that it belongs to. One latent value stands for 8 x 8 pixels in the released model, and it is
    marked if any of its pixels is. So all that is white is drawn anew, and a little around it.

    Raises InputError if nothing of it is white.
    """
    black_or_white = to_rgb(mask).convert("L").point(lambda value: 255 * (value > 127))
    shares = black_or_white.convert("F")  # whole numbers would round a spot of a large mask to 0
    square = ImageOps.fit(shares, (image_size, image_size), Image.Resampling.BOX)
    white = torch.from_numpy(np.asarray(square) > 0)  # size size
    side = pixels_per_latent(vae)
    marked = reduce(white, "(H p) (W q) -> 1 1 H W", "max", p=side, q=side)
    if not marked.any():
        raise InputError(
            "the mask marks nothing of the square that is cut out: "
            "expected white where something new shall be drawn"
        )
    return marked


def _build(path: Path) -> AutoencoderKL:
    """Build the network that a config describes, on the meta device: without memory for weights."""
    config = _read_config(path)
    try:
        with torch.device("meta"):
            return AutoencoderKL(**asdict(config))
    except Exception as error:  # sizes that do not fit each other fail anywhere inside diffusers
        reason = quoted(error)
        raise CheckpointError(f"{path} describes no VAE: {reason}") from None


def _read_config(path: Path) -> VaeConfig:
    raw = read_json(path, LARGEST_CONFIG)
    _check_kind(path, raw)
    known = {field.name for field in fields(VaeConfig)}
    unknown = raw.keys() - known - {*SHIFTS}  # diffusers' own notes begin with _, as _class_name
    warn_of_unknown(path, (name for name in unknown if not name.startswith("_")))
    try:
        given = {name: raw[name] for name in raw.keys() & known}
        config = TypeAdapter(VaeConfig).validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        fault = f"{'.'.join(map(str, first['loc']))} is {first['input']!r}: {first['msg'].lower()}"
        raise CheckpointError(f"{path}: {fault}") from None
    if (
        not len(config.down_block_types)
        == len(config.up_block_types)
        == len(config.block_out_channels)
    ):
        raise CheckpointError(f"{path}: block_out_channels and the block types differ in length")
    return config


def _check_kind(path: Path, raw: dict[str, Any]) -> None:
    """Refuse other networks with the same weights, and latents that JanusFlow does not have."""
    if "architectures" in raw or "model_type" in raw:
        raise CheckpointError(
            f"{path} is of a language model: expected a VAE's; a checkpoint has it in its folder vae"
        )
    kind = raw.get("_class_name", "AutoencoderKL")
    if kind != "AutoencoderKL":
        raise CheckpointError(f"{path} is of a {kind!r}: expected an AutoencoderKL")
    _check_centred(raw, f"{path}: ")


def check_centred(vae: AutoencoderKL) -> None:
    """Raise CheckpointError for a VAE whose config names a shift that its code leaves out.

    diffusers' own class leaves it out, and so does everything here. A subclass may shift by itself.
    """
    if type(vae) is AutoencoderKL:
        _check_centred(vae.config, "the VAE's ")


def _check_centred(settings: Mapping[str, Any], place: str) -> None:
    for name in SHIFTS:
        if settings.get(name):
            raise CheckpointError(
                f"{place}{name} is {settings[name]!r}: such a VAE shifts its latents, "
                "and JanusFlow's are only scaled"
            )


def _stored_names(path: Path, vae: AutoencoderKL) -> dict[str, str]:
    """Return under which name the file stores each weight: today's name, or the older one."""
    keys = set(safetensors_keys(path))
    names = {}
    for key in vae.state_dict():
        old = key
        for before, since in RENAMED.items():
            old = old.replace(since, before)
        names[key] = old if old in keys else key
    return names
