"""The three graphs of the live lab, as torch modules made of the package's own stages.

    prefill    ids, mask, positions                     -> keys, values        once for each caption
    step       z, t, mask, positions, keys, values      -> v_cond, v_uncond, attention
    decode     z                                        -> pixels in -1..1

There is no second implementation of the model here: each module calls the function that the loop calls, and names what
goes in and out. The prompt's length L is free, everything else has one size, because the lab draws one image at a time.

    2   rows: the conditional one, then the unconditional one        L   prompt tokens       n = 1 + N  new tokens
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from janus_minimal import JanusFlow, JanusFlowPipeline, PromptPair
from janus_minimal.cache import PromptCache
from janus_minimal.figures.attention import look_inside
from janus_minimal.pipeline import image_noise
from janus_minimal.prompt import PromptRows

CAPTION = "a red circle left of a blue square"  # what the graphs are traced with; any caption would do


class Prefill(nn.Module):
    """The prompt's keys and values: [layers, 2, heads, L, width] each."""

    def __init__(self, model: JanusFlow):
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        cache = self.model.prefill(PromptPair(PromptRows(ids, mask, positions), 1))
        return torch.stack([layer.keys for layer in cache.layers]), torch.stack(
            [layer.values for layer in cache.layers]
        )


class Step(nn.Module):
    """One evaluation of the velocity, and the attention of its new tokens, averaged over the heads."""

    def __init__(self, model: JanusFlow):
        super().__init__()
        self.model = model

    def forward(
        self, z: Tensor, t: Tensor, mask: Tensor, positions: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        # The cache stands for the prompt's tokens, so their ids are not read.
        pair = PromptPair(PromptRows(torch.zeros_like(positions), mask, positions), 1)
        cache = PromptCache(zip(keys.unbind(), values.unbind(), strict=True))
        inside = look_inside(self.model, z, t, pair, cache)
        return inside.v_cond, inside.v_uncond, inside.attention.mean(dim=2)  # layers 2 n L+n


class Decode(nn.Module):
    """A latent's picture."""

    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.vae = vae

    def forward(self, z: Tensor) -> Tensor:
        return self.vae.decode(z / self.vae.config.scaling_factor).sample


@dataclass(frozen=True)
class Graph:
    """A module, an example of what goes in, and the names of what goes in and comes out."""

    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    prompt_axes: Mapping[str, int]  # the axis that is L, of each input that has one


def graphs(pipe: JanusFlowPipeline) -> dict[str, Graph]:
    """Return the three graphs by name."""
    rows = PromptPair.from_text(CAPTION, pipe.tokenizer).rows
    prefill, step = Prefill(pipe.model), Step(pipe.model)
    prompt = {"ids": rows.ids, "mask": rows.attention_mask, "positions": rows.positions}
    seen = {"mask": rows.attention_mask, "positions": rows.positions}
    with torch.no_grad():
        keys, values = prefill(**prompt)
    z = noise(pipe, 0)
    cache = {"keys": keys, "values": values}
    axes = {"ids": 1, "mask": 1, "positions": 1, "keys": 3, "values": 3}
    return {
        "prefill": Graph(prefill, prompt, ("keys", "values"), axes),
        "step": Graph(
            step, {"z": z, "t": torch.tensor([0.5]), **seen, **cache}, ("v_cond", "v_uncond", "attention"), axes
        ),
        "decode": Graph(Decode(pipe.vae), {"z": z}, ("pixels",), {}),
    }


def noise(pipe: JanusFlowPipeline, seed: int) -> Tensor:
    """Return the noise that `janus-minimal generate --seed` starts from, for one image."""
    return image_noise(pipe.latent_shape, 1, [torch.Generator().manual_seed(seed)])
