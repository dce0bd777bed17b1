"""How many floating-point operations a step takes, by stage: two for every multiplication with its addition.

What is counted is what is multiplied: linear layers, convolutions, attention. Norms, activations and rotations are
left out, as in torch's own FlopCounterMode, which these formulas agree with.

    r  rows       q  tokens that are run       k  tokens that are seen       C D N L  as in model.py
"""

from janus_minimal.config import DecoderConfig, EncoderConfig, JanusConfig, LanguageConfig, UViTConfig

DEPTHWISE = 7 * 7
WIDER = 4  # a ConvNeXt block's inner width


def step_cost(config: JanusConfig, side: int, images: int, prompt_tokens: int, cached: bool = True) -> dict[str, int]:
    """Operations of each stage of one step, for latents of `side` x `side`."""
    rows, tokens = 2 * images, image_tokens(config, side)
    old = 0 if cached else prompt_tokens
    align = linear(rows * tokens, config.encoder.channels, config.language.hidden_size)
    return {
        "encode": encoder(config.encoder, images, tokens),
        "align in": align // 2,  # before the words come in there is one row an image
        "language model": llama(config.language, rows, old + 1 + tokens, prompt_tokens + 1 + tokens),
        "align out": align,
        "decode": decoder(config.decoder, rows, tokens),
    }


def image_tokens(config: JanusConfig, side: int) -> int:
    """N: as many as the first convolution leaves of a latent."""
    encoder = config.encoder
    return ((side + 2 * encoder.in_conv_padding - encoder.kernel_size) // encoder.stride + 1) ** 2


def linear(rows: int, inputs: int, outputs: int) -> int:
    """rows x inputs times inputs x outputs."""
    return 2 * rows * inputs * outputs


def blocks(config: UViTConfig, channels: int, rows: int, places: int) -> int:
    """The ConvNeXt blocks: depthwise convolution, to four times the channels and back, the time's scale and shift."""
    convolution = linear(rows * places, DEPTHWISE, channels)
    inner = 2 * linear(rows * places, channels, WIDER * channels)
    film = linear(rows, config.hidden_size, 2 * channels)
    return config.use_mid_block * config.layers_in_middle * (convolution + inner + film)


def encoder(config: EncoderConfig, rows: int, places: int) -> int:
    """The time's embedding, the patches, the blocks."""
    time = linear(rows, config.channels, config.hidden_size) + linear(rows, config.hidden_size, config.hidden_size)
    patches = linear(rows * places, config.input_channels * config.kernel_size**2, config.channels)
    return time + patches + blocks(config, config.channels, rows, places)


def decoder(config: DecoderConfig, rows: int, places: int) -> int:
    """The blocks at twice the channels, then each doubling of the side."""
    inputs = config.in_channels + config.channels
    cost = blocks(config, inputs, rows, places)
    for doubling in range(config.upsamples):
        outputs = config.out_channels if doubling == config.upsamples - 1 else config.channels
        cost += linear(rows * places * 4**doubling, inputs, 4 * outputs)
        inputs = outputs
    return cost


def llama(config: LanguageConfig, rows: int, q: int, k: int) -> int:
    """Every layer: queries, keys, values and output; scores and their sum of values; the gated MLP."""
    width, head = config.hidden_size, config.hidden_size // config.num_attention_heads
    kept = config.num_key_value_heads * head
    projections = 2 * linear(rows * q, width, width) + 2 * linear(rows * q, width, kept)
    attention = 2 * linear(rows * q, width, k)
    mlp = 3 * linear(rows * q, width, config.intermediate_size)
    return config.num_hidden_layers * (projections + attention + mlp)


def ideal_ratio(tokens: int, prompt_tokens: int) -> float:
    """(L + 1 + N) / (1 + N): how much less a language model with the prompt's keys has to do."""
    return (prompt_tokens + 1 + tokens) / (1 + tokens)
