"""How much memory one step of training needs, from the sizes alone.

Why count: whether a model fits a GPU should be known before the GPU is rented. Five parts are exact
products of a number of weights and of bytes; the sixth, the activations, is derived from what each
layer keeps for the backward pass:

    weights         all of them, in the dtype of the network
    masters         4 bytes for each weight that trains, if the network is not in float32
    gradients       4 bytes for each weight that trains
    moments         8 bytes for each weight of AdamW, 4 for each of Muon
    average         4 bytes for each weight that trains
    activations     for each example, layer and token; see `llama_layer` and `block`

The laws compare all parts with a real step of the small model. Not counted: the allocator's
gaps, the libraries' own memory (about half a GB on a GPU), and buffers inside single operations.

    B  examples in a part of a batch        P  places: image tokens of an example
    D F h  width, MLP width and heads of the language model        C  channels of the U-ViT        K  of a block
"""

import torch

from janus_minimal.bench.cost import image_tokens
from janus_minimal.config import JanusConfig, LanguageConfig
from janus_minimal.model import JanusFlow
from janus_minimal.training.finetune import prepare
from janus_minimal.training.optimizers import build_optimizers
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.tuning import Tuning

LINEAR_LAYERS = 7  # in a Llama block


def training_memory(
    config: JanusConfig, tuning: Tuning, side: int, examples: int, prompt_tokens: int
) -> dict[str, int]:
    """Return the bytes of each part, for one step.

    Args:
        config: the sizes of the model.
        tuning: what is trained, and how memory is saved.
        side: height and width of the latent.
        examples: B, the examples of one process whose activations are in memory at once.
        prompt_tokens: L.
    """
    with torch.device("meta"):  # no memory is allocated, only counted
        model = prepare(JanusFlow(config), tuning)
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    half = tuning.dtype != "float32"
    return {
        "weights": (2 if half else 4) * sum(p.numel() for p in model.parameters()),
        "masters": 4 * learning if half else 0,
        "gradients": 4 * learning,
        "moments": _moments(model),
        "average": 4 * learning,
        "activations": examples * activations(config, tuning, side, prompt_tokens),
    }


def activations(config: JanusConfig, tuning: Tuning, side: int, prompt_tokens: int) -> int:
    """Return the bytes that one example keeps for the backward pass.

    With gradient checkpointing, a Llama layer keeps its input only. In the backward pass one layer at
    a time is computed again, and keeps all.
    """
    places = image_tokens(config, side)
    tokens, number = prompt_tokens + 1 + places, config.language.num_hidden_layers
    layer = tokens * llama_layer(config.language, tuning)
    inputs = tokens * config.language.hidden_size * _size(tuning)
    language = number * layer
    if tuning.gradient_checkpointing:
        language = min(language, number * inputs + layer)
    return language + _blocks(config, tuning, places) + _around(config, tuning, tokens, places)


def _blocks(config: JanusConfig, tuning: Tuning, places: int) -> int:
    """Return the bytes of all ConvNeXt blocks. Nothing before the encoder's frozen ones is trained."""
    kept = 0
    for part, channels in (
        (config.encoder, config.encoder.channels),
        (config.decoder, 2 * config.decoder.channels),
    ):
        if part is config.decoder or tuning.train != "lora":
            number = part.use_mid_block * part.layers_in_middle
            kept += number * block(channels, places, part.hidden_size, tuning)
    return kept


def llama_layer(config: LanguageConfig, tuning: Tuning) -> int:
    """Return the bytes that a Llama layer keeps for each token.

    In float32, with all weights trained, these are 10 D + 4 F + h + 2 numbers:

        twice: the input of the norm, its reciprocal root (1 number), the normed input, and that
            times the norm's weight                                                 6 D + 2
        queries, keys, values, and what attention gives, with its log-sum (h)       4 D + h
        the gate before and after its SiLU, the other branch, and their product     4 F

    A frozen matrix does not need its input, so that without adapters 2 D + F of these are not kept,
    and a frozen norm does not need the normed input, another 2 D. An adapter keeps A x, R numbers. In
    bfloat16 all numbers but the norm's input and the roots take half.
    """
    width, mlp, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
    kept = width * config.num_key_value_heads // heads
    size, trained = _size(tuning), tuning.train == "all"
    inputs = trained or tuning.lora is not None  # of the linear layers
    norm = 4 * (width + 1) + size * width * (trained + inputs)
    attention = size * (2 * width + 2 * kept) + 4 * heads
    adapters = size * LINEAR_LAYERS * (tuning.lora or 0)
    return 2 * norm + attention + size * mlp * (3 + inputs) + adapters


def block(channels: int, places: int, width: int, tuning: Tuning) -> int:
    """Return the bytes that a ConvNeXt block of K channels keeps for one example.

    In float32, trained, these are P (17 K + 1) numbers: its input, the convolved input and its
    reciprocal root (1 number), that normed, that times a weight, the sum (5 K), and the inputs of
    GELU, of GRN and of the second linear layer (12 K). Scale, shift and GRN add some that do not grow
    with P. A frozen block keeps 10 K + 1. The norm computes in float32, whatever the weights' dtype.
    """
    trained = tuning.train != "lora"
    norm = 4 * places * (channels * (1 + trained) + 1)
    others = places * channels * (15 if trained else 9)
    constant = 13 * channels + width + 1 if trained else 9 * channels + 1
    return norm + _size(tuning) * (others + constant)


def _around(config: JanusConfig, tuning: Tuning, tokens: int, places: int) -> int:
    """Return about what is kept between the blocks: the norms, the aligners, the rotary embedding."""
    language, channels = config.language, config.encoder.channels
    width, head = language.hidden_size, language.hidden_size // language.num_attention_heads
    inputs = 2 * tokens * width + 3 * places * channels  # of norms, in float32
    others = tokens * width * (tuning.train == "all") + 2 * tokens * head
    if tuning.train != "lora":
        others += 2 * places * width + 6 * places * channels
    return 4 * inputs + _size(tuning) * others


def _moments(model: JanusFlow) -> int:
    """Return the bytes of the optimisers' moments, in float32: two for AdamW, one for Muon."""
    numbers = 0
    for optimizer in build_optimizers(model, Recipe(1, 1, 1.0)):
        held = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
        numbers += held * (2 if isinstance(optimizer, torch.optim.AdamW) else 1)
    return 4 * numbers


def _size(tuning: Tuning) -> int:
    return 4 if tuning.dtype == "float32" else 2
