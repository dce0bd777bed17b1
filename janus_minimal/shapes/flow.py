"""The small JanusFlow: the official architecture at small size, and the recipe that trained it."""

from torch import nn

from janus_minimal.config import DecoderConfig, EncoderConfig, JanusConfig, LanguageConfig
from janus_minimal.model import JanusFlow
from janus_minimal.shapes.scene import SIDE
from janus_minimal.training.recipe import Recipe

FLOW_RECIPE = Recipe(steps=24_000, batch_size=32, learning_rate=2e-3, warmup=200, save_every=500)
CHANNELS, WIDTH = (
    96,
    192,
)  # of the U-ViT and of the language model; the released model has 768 and 2048


def build_flow(vocab_size: int) -> JanusFlow:
    """Return an untrained model for latents of 4 x 12 x 12, that is 36 image tokens.

    Two changes of the initial weights make it learn faster from nothing. The word embeddings are
    drawn from N(0, 1) and not from Llama's N(0, 0.02^2), so that different words differ much from the
    start. The layers that end in zero weights, the scale and shift of each ConvNeXt block and the
    last convolution, make the first velocity exactly zero, so the first loss is about 2.
    """
    model = JanusFlow(
        JanusConfig(
            EncoderConfig(block_out_channels=(CHANNELS,), padding=0, hidden_size=WIDTH),
            DecoderConfig(in_channels=CHANNELS, block_out_channels=(CHANNELS,), hidden_size=WIDTH),
            LanguageConfig(vocab_size, WIDTH, 512, 6, 6, 6, max_position_embeddings=512),
            image_size=SIDE,
        )
    )
    nn.init.normal_(model.llama.embed_tokens.weight)
    for name, parameter in model.named_parameters():
        if "cond_embeds_mapper" in name or "unpatch_conv" in name:
            nn.init.zeros_(parameter)
    return model
