"""Training the small JanusFlow: the official architecture, the rectified-flow loss, the small world's examples."""

from pathlib import Path

import torch
from accelerate import Accelerator
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from janus_minimal.config import DecoderConfig, EncoderConfig, JanusConfig, LanguageConfig
from janus_minimal.flow import interpolate
from janus_minimal.model import JanusFlow
from janus_minimal.prompt import PromptPair
from janus_minimal.shapes.examples import Batch, draw_batch, tokenize_examples
from janus_minimal.shapes.scene import SIDE
from janus_minimal.shapes.training import Recipe, Report, fit

FLOW_RECIPE = Recipe(steps=24_000, batch_size=32, learning_rate=2e-3, warmup=200, save_every=500)


def build_flow(vocabulary: int) -> JanusFlow:
    """The official architecture at small size, untrained.

    Words start far apart, each ConvNeXt block deaf to the time (scale and shift are zero), the velocity at zero.
    """
    channels, width = 96, 192
    config = JanusConfig(
        EncoderConfig(block_out_channels=(channels,), padding=0, hidden_size=width),
        DecoderConfig(in_channels=channels, block_out_channels=(channels,), hidden_size=width),
        LanguageConfig(vocabulary, width, 512, 6, 6, 6, max_position_embeddings=512),
        image_size=SIDE,
    )
    model = JanusFlow(config)
    nn.init.normal_(model.llama.embed_tokens.weight)
    for name, parameter in model.named_parameters():
        if "cond_embeds_mapper" in name or "unpatch_conv" in name:
            nn.init.zeros_(parameter)
    return model


def flow_loss(network: nn.Module, batch: Batch, pad_id: int) -> Float[Tensor, ""]:
    """The mean of |v(z_t, t, prompt) - (z_1 - z_0)|^2. `network` is a JanusFlow, or its data-parallel wrapper."""
    z_t, target = interpolate(batch.z_0, batch.z_1, batch.t)
    rows = PromptPair.from_ids(batch.ids, pad_id=pad_id).drop(batch.dropped)
    return F.mse_loss(network(z_t, batch.t, rows), target)


def train_flow(
    latents: Float32[Tensor, "n c H W"],
    tokenizer: PreTrainedTokenizerBase,
    state: Path,
    accelerator: Accelerator,
    report: Report,
    recipe: Recipe = FLOW_RECIPE,
) -> JanusFlow:
    """Train on these examples to the recipe's end, going on from `state` if it exists."""
    ids = tokenize_examples(tokenizer, len(latents), recipe.seed)

    def loss(network: nn.Module, step: int) -> Tensor:
        batch = draw_batch(step, ids, latents, recipe.batch_size, recipe.seed)
        return flow_loss(network, batch.share(accelerator), tokenizer.pad_token_id)

    torch.manual_seed(recipe.seed)
    return fit(build_flow(len(tokenizer)), loss, recipe, state, accelerator, report)
