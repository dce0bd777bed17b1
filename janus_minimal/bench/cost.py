"""How many floating-point operations one step takes, stage by stage, from the sizes alone.

Why count: a time depends on the machine, a count does not. It tells which stage costs most, and how
the cost grows with the length of the prompt, before anything is run.

A multiplication and its addition count as two operations. Linear layers, convolutions and attention
are counted. Norms, activations and rotations are left out, because they cost little; PyTorch's
FlopCounterMode leaves them out too, and the laws require that both counts agree.

    r  rows of the batch      q  tokens that the language model runs on (queries)
    k  tokens that they attend to (keys)      C D N L  as in model.py
"""

from janus_minimal.config import (
    DecoderConfig,
    EncoderConfig,
    JanusConfig,
    LanguageConfig,
    UViTConfig,
)

DEPTHWISE = 7 * 7
WIDER = 4  # a ConvNeXt block's inner width


def step_cost(
    config: JanusConfig, side: int, images: int, prompt_tokens: int, cached: bool = True
) -> dict[str, int]:
    """Return the operations of each stage of one step.

    Args:
        config: the sizes of the model.
        side: height and width of the latent.
        images: B. The encoder runs on B rows, everything after it on 2B.
        prompt_tokens: L.
        cached: whether the prompt's keys and values are read from the cache. Without it, the
            language model runs on L + 1 + N tokens instead of 1 + N.

    >>> cost = step_cost(JanusConfig(), side=48, images=1, prompt_tokens=20)  # the released model
    >>> round(cost["language model"] / sum(cost.values()), 3)
    0.966
    """
    rows, tokens = 2 * images, image_tokens(config, side)
    old = 0 if cached else prompt_tokens
    align = linear(rows * tokens, config.encoder.channels, config.language.hidden_size)
    return {
        "encode": encoder(config.encoder, images, tokens),
        "align in": align // 2,  # before the prompt enters there is one row per image
        "language model": llama(
            config.language, rows, old + 1 + tokens, prompt_tokens + 1 + tokens
        ),
        "align out": align,
        "decode": decoder(config.decoder, rows, tokens),
    }


def image_tokens(config: JanusConfig, side: int) -> int:
    """Return N, the number of image tokens: the first convolution leaves one for each patch.

    >>> image_tokens(JanusConfig(), side=48)
    576
    """
    encoder = config.encoder
    return ((side + 2 * encoder.in_conv_padding - encoder.kernel_size) // encoder.stride + 1) ** 2


def linear(rows: int, inputs: int, outputs: int) -> int:
    """Return the operations of a linear layer: [rows, inputs] x [inputs, outputs], no bias."""
    return 2 * rows * inputs * outputs


def blocks(config: UViTConfig, channels: int, rows: int, places: int) -> int:
    """Return the operations of all ConvNeXt blocks on one side.

    Each block has a depthwise convolution, two linear layers (to four times the channels and back)
    at every position, and one linear layer from the time embedding to scale and shift.
    """
    convolution = linear(rows * places, DEPTHWISE, channels)
    inner = 2 * linear(rows * places, channels, WIDER * channels)
    film = linear(rows, config.hidden_size, 2 * channels)
    return config.use_mid_block * config.layers_in_middle * (convolution + inner + film)


def encoder(config: EncoderConfig, rows: int, places: int) -> int:
    """Return the operations of the U-ViT encoder: time embedding, patches, ConvNeXt blocks."""
    time = linear(rows, config.channels, config.hidden_size) + linear(
        rows, config.hidden_size, config.hidden_size
    )
    patches = linear(rows * places, config.input_channels * config.kernel_size**2, config.channels)
    return time + patches + blocks(config, config.channels, rows, places)


def decoder(config: DecoderConfig, rows: int, places: int) -> int:
    """Return the operations of the U-ViT decoder: ConvNeXt blocks, then upsampling."""
    inputs = config.in_channels + config.channels
    cost = blocks(config, inputs, rows, places)
    for doubling in range(config.upsamples):
        outputs = config.out_channels if doubling == config.upsamples - 1 else config.channels
        cost += linear(rows * places * 4**doubling, inputs, 4 * outputs)
        inputs = outputs
    return cost


def llama(config: LanguageConfig, rows: int, q: int, k: int) -> int:
    """Return the operations of the language model for q new tokens that attend to k tokens.

    Each layer has four projections (queries, keys, values, output), two products of attention
    (scores, and the weighted sum of values), and a gated MLP of three matrices. All q x k scores
    are counted, although the causal mask discards some of them.
    """
    width, head = config.hidden_size, config.hidden_size // config.num_attention_heads
    kept = config.num_key_value_heads * head
    projections = 2 * linear(rows * q, width, width) + 2 * linear(rows * q, width, kept)
    attention = 2 * linear(rows * q, width, k)
    mlp = 3 * linear(rows * q, width, config.intermediate_size)
    return config.num_hidden_layers * (projections + attention + mlp)


def ideal_ratio(tokens: int, prompt_tokens: int) -> float:
    """Return (L + 1 + N) / (1 + N): tokens run without the cache, over tokens run with it.

    >>> round(ideal_ratio(tokens=576, prompt_tokens=200), 2)
    1.35
    """
    return (prompt_tokens + 1 + tokens) / (1 + tokens)
