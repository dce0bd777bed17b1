"""What may be asked of the pipeline: each wrong value is one line, before any work is done."""

from collections.abc import Iterable, Iterator, Sequence
from math import nan
from numbers import Integral, Real
from sys import float_info
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from janus_minimal.config import JanusConfig
from janus_minimal.errors import CheckpointError, InputError, PromptError
from janus_minimal.flow import time_grid

MOST_STEPS, MOST_IMAGES = 10**6, 10**5  # no machine draws more in one call
MOST_SEED = 2**62
LEAST_SHIFT, MOST_SHIFT = 0.01, 100.0  # beyond, float32 cannot tell the times of a grid apart


def written(value: Any) -> str:
    """Return a value as Python writes it. Python refuses to write whole numbers of over 4,300 digits."""
    try:
        return repr(value)
    except ValueError:
        return f"a {type(value).__name__} too long to be written"


def whole_number(name: str, value: Any, most: int, least: int = 1) -> int:
    """Return the value if it is a whole number from `least` to `most`. Raises InputError."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not least <= int(value) <= most:
        raise InputError(
            f"{name} is {written(value)}: expected a whole number from {least} to {most:,}"
        )
    return int(value)


def finite_number(
    name: str, value: Any, least: float = -float_info.max, most: float = float_info.max
) -> float:
    """Return the value if it is a finite number from `least` to `most`. Raises InputError."""
    try:
        real = isinstance(value, Real) and not isinstance(value, bool)
        number = float(value) if real else nan
    except OverflowError:  # of a whole number beyond all floats
        number = nan
    if not least <= number <= most:  # NaN is in no range
        limited = f"from {least:g} to {most:g}" if most < float_info.max else "such as 2.0"
        raise InputError(f"{name} is {written(value)}: expected a finite number {limited}")
    return number


def one_of(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return the value if it is one of the choices. Raises InputError."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name} is {written(value)}: expected one of {', '.join(choices)}")
    return value


def function_of(name: str, value: Any) -> None:
    """Raise InputError unless the value can be called."""
    if not callable(value):
        raise InputError(f"{name} is {written(value)}: expected a function")


def networks(**parts: Any) -> None:
    """Raise InputError unless each part is a network. The name of one is the usual mistake."""
    for name, part in parts.items():
        if not isinstance(part, nn.Module):
            raise InputError(
                f"{name} is {written(part)}: expected a network, as from_pretrained loads it"
            )


def have_numbers(weights: Iterable[Tensor]) -> None:
    """Raise InputError for weights on the meta device, which have shapes and no numbers."""
    if any(weight.is_meta for weight in weights):
        raise InputError(
            "the weights are on the meta device, which keeps no numbers: "
            "expected a model that was loaded to another device"
        )


def ready_to_draw(model: nn.Module) -> None:
    """Raise InputError for a model without numbers, and for one that would draw with dropout.

    Dropout acts in training mode only. The same seed would then draw another picture each time.
    """
    have_numbers(model.parameters())
    dropouts = [part for part in model.modules() if isinstance(part, nn.Dropout)]
    if any(part.training and part.p > 0 for part in dropouts):
        raise InputError("the model has dropout and is in training mode: expected model.eval()")


def steps_of(steps: Any, kind: type) -> Iterator[Any]:
    """Yield what a solver yields. Raises InputError unless these are steps, and one at least."""
    right = "expected a generator of Steps, as denoise is"
    step = None
    for step in steps if isinstance(steps, Iterable) else [steps]:
        if not isinstance(step, kind):
            raise InputError(f"the solver gives a {type(step).__name__}: {right}")
        yield step
    if step is None:
        raise InputError(f"the solver takes no step: {right}")


def prompts_of(prompt: Any) -> list[str]:
    """Return one prompt or several as a list. Raises PromptError unless each is a text."""
    prompts = [prompt] if isinstance(prompt, str) else prompt
    if not isinstance(prompts, Sequence) or not all(isinstance(text, str) for text in prompts):
        raise PromptError(f"the prompt is {written(prompt)}: expected a text, or a list of texts")
    return list(prompts)


def time_grid_of(times: Any) -> Tensor:
    """Return the times if a solver can take steps between them. Raises InputError."""
    if not _is_dense(times) or times.ndim != 1 or len(times) < 2:
        raise InputError("times should be a tensor of at least two fractions, as time_grid(30) is")
    times = times.float()
    known = (times - 0.5).abs() < 0.501  # a sum of steps may end at 1.0000001; NaN is not known
    if not known.all() or (times.diff() < 0).any():
        raise InputError(
            "times should be rising, from 0 (noise) to 1 (picture), as time_grid(30) is"
        )
    return times


def _is_dense(x: Any) -> bool:
    """Return whether x is a tensor of fractions that are all there: not sparse, not on "meta"."""
    return (
        isinstance(x, Tensor)
        and x.is_floating_point()
        and x.layout is torch.strided
        and not (x.is_meta or x.is_nested)
    )


def shifted_grid(steps: Any, shift: Any = 1.0) -> Tensor:
    """Return `time_grid(steps, shift)`. Raises InputError."""
    number = whole_number("steps", steps, MOST_STEPS)
    return time_grid(number, finite_number("the shift", shift, LEAST_SHIFT, MOST_SHIFT))


def generators_of(generator: Any, num_images: int) -> list[Generator]:
    """Return the generators if there is one for each image. Raises InputError."""
    if not isinstance(generator, Sequence) or not all(
        isinstance(own, Generator) for own in generator
    ):
        raise InputError("generator holds something else: expected torch.Generator objects")
    if len(generator) != num_images:
        raise InputError(
            f"{len(generator)} generators for {num_images} images: "
            "expected one, or one for each image"
        )
    return list(generator)


def steered(answer: Any, told: dict[str, Any]) -> dict[str, Any]:
    """Return what a callback answered. Raises InputError unless it changes the latents alone.

    diffusers' callbacks return all that they were given. Another name is a mistyped one, and
    another value than the latents' would be ignored without a word.
    """
    kept = {name for name in told if isinstance(answer, dict) and answer.get(name) is told[name]}
    if not isinstance(answer, dict) or answer.keys() - kept - {"latents"}:
        raise InputError(
            f"callback_on_step_end returned {written(answer)}: "
            'expected {}, or {"latents": ...} to change them'
        )
    return answer


def dense_latents(latents: Any) -> Tensor:
    """Return the latents if they are a tensor of fractions that are all there. Raises InputError."""
    if not isinstance(latents, Tensor):
        raise InputError(f"latents are a {type(latents).__name__}: expected a torch.Tensor")
    if not _is_dense(latents):
        kind = f"{latents.dtype}, {latents.layout}, on {latents.device}"
        raise InputError(f"latents are {kind}: expected dense ones such as torch.randn(...)")
    return latents


def latents_of(latents: Any, shape: Sequence[int]) -> Tensor:
    """Return the latents, in float32, if they are a tensor of this shape. Raises InputError."""
    latents = dense_latents(latents)
    if tuple(latents.shape) != tuple(shape):
        raise InputError(f"latents of shape {list(latents.shape)}: expected {list(shape)}")
    return latents.detach().float()


def mask_of(mask: Any, shape: Sequence[int]) -> None:
    """Raise InputError unless the mask is True or False at each place of latents of this shape."""
    right = {(images, 1, *shape[2:]) for images in (1, shape[0])}
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or tuple(mask.shape) not in right:
        kind = (
            f"{list(mask.shape)}, {mask.dtype}" if isinstance(mask, Tensor) else type(mask).__name__
        )
        wanted = [1, 1, *shape[2:]]
        raise InputError(f"the mask is {kind}: expected {wanted}, torch.bool, as `x > 0` gives it")


def finite_latents(index: int, z: Float[Tensor, "B c H W"]) -> None:
    """Raise InputError if the latent after step `index` holds NaN or infinity.

    A huge guidance weight can drive a latent beyond what float32 can hold, and hidden states beyond
    65,504 overflow in float16. The VAE would decode the latent to a plain colour without a word, and
    the reason could not be seen in the picture.
    """
    if not z.isfinite().all():
        raise InputError(
            f"after step {index} the latent is not finite: "
            "expected a smaller guidance weight, smaller latents, or a dtype wider than float16"
        )


def fits_positions(config: JanusConfig, prompt_tokens: int, image_tokens: int) -> None:
    """Raise InputError if the sequence is longer than the language model has positions.

    Raises CheckpointError if there are so few that no prompt fits.
    """
    room = config.language.max_position_embeddings - 1 - image_tokens
    if room < 1:
        raise CheckpointError(
            f"config.json: max_position_embeddings leaves no room for a prompt: "
            f"expected more than the image's {image_tokens + 1} tokens"
        )
    if prompt_tokens > room:
        raise InputError(
            f"the prompt has {prompt_tokens} tokens, with the image {prompt_tokens + 1 + image_tokens}: "
            f"expected at most {room} prompt tokens"
        )


def fits_vocabulary(config: JanusConfig, ids: Int[Tensor, "rows L"]) -> None:
    """Raise CheckpointError if a token is none of the language model's.

    A tokenizer's own list of tokens says less: rules that add tokens to every text may add others.
    """
    largest, known = int(ids.max()), config.language.vocab_size
    if largest >= known:
        raise CheckpointError(
            f"the tokenizer makes the token {largest}, the model knows {known}: "
            "they belong to different models"
        )


def fits_vae(config: JanusConfig, latent_channels: int, pixels_per_latent: int) -> None:
    """Raise CheckpointError unless the VAE makes latents of the form that the model takes."""
    encoder, unit = config.encoder, pixels_per_latent * config.encoder.stride
    if latent_channels != encoder.input_channels:
        raise CheckpointError(
            f"the VAE has {latent_channels} latent channels, "
            f"the model takes {encoder.input_channels}"
        )
    if config.image_size % unit or config.image_size // pixels_per_latent < encoder.kernel_size:
        raise CheckpointError(
            f"config.json: image_size is {config.image_size}: "
            f"expected a multiple of {unit}, the side of a patch in pixels"
        )
