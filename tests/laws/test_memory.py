"""The memory of a training step: what is counted from the sizes is what a real step of the small model holds."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from tools.drawn import normal

from janus_minimal import JanusFlow, PromptPair
from janus_minimal.bench.memory import activations, block, llama_layer, training_memory
from janus_minimal.bench.sizes import sized
from janus_minimal.config import JanusConfig
from janus_minimal.training.finetune import prepare
from janus_minimal.training.learner import Learner
from janus_minimal.training.master import gather_gradients
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.tuning import Tuning

SMALL = sized("small")
SIDE, TOKENS, EXAMPLES = 12, 9, 2
WAYS = [Tuning("all"), Tuning("uvit"), Tuning("lora", lora=8), Tuning("uvit", lora=8)]
WAYS += [replace(way, dtype="bfloat16") for way in WAYS]


def with_layers(number: int) -> JanusConfig:
    return replace(SMALL, language=replace(SMALL.language, num_hidden_layers=number))


def with_blocks(number: int) -> JanusConfig:
    return replace(with_layers(1), encoder=replace(SMALL.encoder, layers_in_middle=number))


def built(config: JanusConfig, tuning: Tuning) -> JanusFlow:
    return prepare(JanusFlow(config).to(getattr(torch, tuning.dtype)), tuning)


def answer(model: JanusFlow) -> torch.Tensor:
    ids = [torch.arange(1, TOKENS + 2) for _ in range(EXAMPLES)]
    rows = PromptPair.from_ids(ids, pad_id=1).rows[torch.arange(EXAMPLES)]
    return model(normal(0, EXAMPLES, 4, SIDE, SIDE), torch.full((EXAMPLES,), 0.5), rows).square().mean()


def kept(config: JanusConfig, tuning: Tuning) -> int:
    """Bytes of all storages that autograd keeps for the backward pass, without the weights."""
    model, seen = built(config, tuning), {}
    weights = {p.untyped_storage()._cdata for p in model.parameters()}

    def pack(x):
        seen[x.untyped_storage()._cdata] = x
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        loss = answer(model)
    found = sum(x.untyped_storage().nbytes() for place, x in seen.items() if place not in weights)
    assert loss.isfinite()  # the graph, and with it all that is kept, has lived until here
    return found


def size(tensors: Iterator[torch.Tensor]) -> int:
    """Bytes of the different storages of some tensors."""
    return sum({x.untyped_storage()._cdata: x.untyped_storage().nbytes() for x in tensors}.values())


@pytest.mark.parametrize("tuning", WAYS[:1] + WAYS[6:])
def test_weights_gradients_moments_and_average_are_counted_exactly(tuning):
    """Each part of training_memory = the bytes of the tensors of a real step.

    These parts are products of known numbers, so there is no excuse for a difference.
    """
    model = built(SMALL, tuning)
    learner = Learner(model, Recipe(1, EXAMPLES, 0.01))
    answer(model).backward()
    gather_gradients(model, learner.master)
    for optimizer in learner.optimizers:
        optimizer.step()
    network = {p.untyped_storage()._cdata for p in model.parameters()}
    copies = [p for p in learner.master.parameters() if p.untyped_storage()._cdata not in network]
    averages = [p for p in learner.average.parameters() if p.untyped_storage()._cdata not in network]
    states = [state for optimizer in learner.optimizers for state in optimizer.state.values()]
    moments = [x for state in states for name, x in state.items() if name != "step"]
    real = {
        "weights": size(model.parameters()),
        "masters": size(iter(copies)),
        "gradients": size(p.grad for p in learner.master.parameters() if p.grad is not None),
        "moments": size(iter(moments)),
        "average": size(iter(averages)),
    }
    counted = training_memory(SMALL, tuning, SIDE, EXAMPLES, TOKENS)
    assert {name: counted[name] for name in real} == real


@pytest.mark.parametrize("tuning", WAYS)
def test_activations_are_counted_to_two_hundredths(tuning):
    """|B activations(config) - bytes that autograd keeps| < 0.02 of them, for the small model.

    They decide how large a batch may be. What is left out does not grow with the number of layers.
    """
    counted = training_memory(SMALL, tuning, SIDE, EXAMPLES, TOKENS)["activations"]
    assert counted == pytest.approx(kept(SMALL, tuning), rel=0.02)


@pytest.mark.parametrize("tuning", WAYS)
def test_a_layer_and_a_block_are_counted_exactly(tuning):
    """kept(one layer or block more) - kept(without it) = B tokens llama_layer, and B block, to the byte.

    Layers and blocks are nearly all of the released model's activations, so their formulas carry the extrapolation.
    """
    places = (SIDE // 2) ** 2
    tokens, one = TOKENS + 1 + places, kept(with_layers(1), tuning)
    assert kept(with_layers(2), tuning) - one == EXAMPLES * tokens * llama_layer(SMALL.language, tuning)
    if tuning.train != "lora":
        more = kept(with_blocks(3), tuning) - one
        assert more == EXAMPLES * block(SMALL.encoder.channels, places, SMALL.encoder.hidden_size, tuning)


@pytest.mark.parametrize("tuning", WAYS[:1] + WAYS[6:])
def test_heads_that_share_their_keys_are_counted_exactly(tuning):
    """kept(one layer more) - kept(without it) = B tokens llama_layer, also with one key-value head for all heads.

    The released model has as many of both; other models have fewer keys.
    """
    layers = [replace(with_layers(n), language=replace(with_layers(n).language, num_key_value_heads=1)) for n in (1, 2)]
    tokens, (one, two) = TOKENS + 1 + (SIDE // 2) ** 2, (kept(config, tuning) for config in layers)
    assert two - one == EXAMPLES * tokens * llama_layer(layers[0].language, tuning)


@pytest.mark.parametrize(("dtype", "bytes_each"), [("bfloat16", 2), ("float32", 4)])
def test_checkpointing_keeps_a_layers_input_and_one_whole_layer(dtype, bytes_each):
    """activations(checkpointing) = activations - (layers - 1) layer + layers input, for the released size.

    The inputs of all layers are kept, and the layer that is just computed again keeps everything.
    """
    plain = Tuning("lora", lora=16, dtype=dtype)
    often = replace(plain, gradient_checkpointing=True)
    config, side, prompt = JanusConfig(), 48, 20
    tokens, layers = prompt + 1 + 576, config.language.num_hidden_layers
    layer, given = tokens * llama_layer(config.language, plain), tokens * 2048 * bytes_each
    before, after = (activations(config, way, side, prompt) for way in (plain, often))
    assert before - after == (layers - 1) * layer - layers * given
    assert after < before / 4


@pytest.mark.parametrize("tuning", WAYS)
def test_checkpointing_never_seems_to_cost_memory(tuning):
    """activations(checkpointing) <= activations, also for a single layer, of which nothing can be left out.

    Computing a layer again needs the layer's input and all that it keeps, and no more than it kept before.
    """
    for layers in (1, 2, 6):
        config, often = with_layers(layers), replace(tuning, gradient_checkpointing=True)
        assert activations(config, often, SIDE, TOKENS) <= activations(config, tuning, SIDE, TOKENS)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
@pytest.mark.parametrize("tuning", WAYS)
def test_each_part_is_counted_with_its_own_blocks(part, tuning):
    """activations(k blocks in a part) - activations(none, use_mid_block=False) = k block(channels of the part).

    Both parts have their own number of blocks. Behind the encoder's frozen blocks nothing is trained that needs them.
    """
    config = replace(
        SMALL,
        encoder=replace(SMALL.encoder, layers_in_middle=2),
        decoder=replace(SMALL.decoder, layers_in_middle=5),
    )
    own = getattr(config, part)
    without = replace(config, **{part: replace(own, use_mid_block=False)})
    number, channels = {"encoder": (2, own.channels), "decoder": (5, 2 * own.channels)}[part]
    if part == "encoder" and tuning.train == "lora":
        number = 0
    more = activations(config, tuning, SIDE, TOKENS) - activations(without, tuning, SIDE, TOKENS)
    assert more == number * block(channels, (SIDE // 2) ** 2, own.hidden_size, tuning)
