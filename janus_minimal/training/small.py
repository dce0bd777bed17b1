"""The small networks: a VAE and a JanusFlow of the official architecture, and how they are trained.

With these sizes and recipes the bundled model was trained. Latents are 4 x 12 x 12, that is 36 image
tokens. The VAE says how large the pictures are. The small VAE halves each side twice, so the pictures
have 12 * 4 = 48 pixels on each side. A VAE of four levels, such as SDXL's, halves it three times, so
they have 12 * 8 = 96.
"""

from diffusers import AutoencoderKL
from torch import nn

from janus_minimal.config import DecoderConfig, EncoderConfig, JanusConfig, LanguageConfig
from janus_minimal.model import JanusFlow
from janus_minimal.training.recipe import Recipe

VAE_RECIPE = Recipe(steps=2500, batch_size=32, learning_rate=2e-3, average=0.99)
FLOW_RECIPE = Recipe(steps=24_000, batch_size=32, learning_rate=2e-3, warmup=200, save_every=500)
LATENT_SIDE = 12  # values along a side of a latent
SIDE = 48  # pixels of a picture, with the small VAE
# Channels of the U-ViT and width of the language model; the released model has 768 and 2048.
CHANNELS, WIDTH = 96, 192


def build_vae() -> AutoencoderKL:
    """Return the untrained VAE. `calibrate` sets its scaling factor after training."""
    return AutoencoderKL(
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=SIDE,
        mid_block_add_attention=False,
    )


def small_config(vocab_size: int, image_size: int = SIDE) -> JanusConfig:
    """Return the sizes of the small JanusFlow, for a tokenizer and pictures of these sizes."""
    return JanusConfig(
        EncoderConfig(block_out_channels=(CHANNELS,), padding=0, hidden_size=WIDTH),
        DecoderConfig(in_channels=CHANNELS, block_out_channels=(CHANNELS,), hidden_size=WIDTH),
        LanguageConfig(vocab_size, WIDTH, 512, 6, 6, 6, max_position_embeddings=512),
        image_size=image_size,
    )


def build_flow(vocab_size: int, image_size: int = SIDE) -> JanusFlow:
    """Return an untrained model for latents of 4 x 12 x 12."""
    return untrained_flow(small_config(vocab_size, image_size))


def untrained_flow(config: JanusConfig) -> JanusFlow:
    """Return a model of these sizes whose random weights are good to begin with.

    Two changes of the initial weights make it learn faster from nothing. The word embeddings are
    drawn from N(0, 1) and not from Llama's N(0, 0.02^2), so that different words differ much from the
    start. The layers that end in zero weights, the scale and shift of each ConvNeXt block and the
    last convolution, make the first velocity exactly zero, so the first loss is about 2.
    """
    model = JanusFlow(config)
    nn.init.normal_(model.llama.embed_tokens.weight)
    for name, parameter in model.named_parameters():
        if "cond_embeds_mapper" in name or "unpatch_conv" in name:
            nn.init.zeros_(parameter)
    return model
