"""Representation alignment: a second loss that only training sees."""

from copy import deepcopy
from dataclasses import replace
from math import sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tools.drawn import SEEDS, normal
from torch import nn

from janus_minimal import JanusFlow, PromptPair, interpolate
from janus_minimal.errors import InputError
from janus_minimal.training.alignment import AlignedFlow, alignment_loss, hidden_after
from janus_minimal.training.batch import Batch, draw_batch
from janus_minimal.training.loss import flow_loss

IDS = [torch.arange(1, length) for length in (4, 7, 5)]
FEATURES, BLOCK = 5, 1


def batch_for(model: JanusFlow, seed: int = 0) -> Batch:
    return draw_batch(seed, IDS, normal(0, 3, *latent_shape(model)), 4, 0)


def latent_shape(model: JanusFlow) -> tuple[int, int, int]:
    return model.config.encoder.input_channels, 8, 8  # 4 x 4 image tokens


def aligned(model: JanusFlow, block: int = BLOCK) -> AlignedFlow:
    """A copy of the model, with a projector."""
    copy = deepcopy(model)
    torch.manual_seed(0)
    return AlignedFlow(copy, FEATURES, block)


def test_the_alignment_loss_by_hand():
    """Features (1, 0), (0, 1), (1, 0), (0, 1) have the mean (1/2, 1/2): beside (1, 0) the loss is -1/sqrt 2.

    The encoder's grid is finer than the grid of image tokens, so the four features of one image token are
    averaged first. A second picture with opposite features has +1. The loss is the mean over places and pictures.
    """
    fine = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])  # K height width
    projected = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)
    torch.testing.assert_close(alignment_loss(fine[None], projected), torch.tensor(-1 / sqrt(2)))
    opposite = -projected.expand(1, 2, 2, 2)
    both = torch.cat([fine[None], opposite])
    expected = torch.tensor((-1 / sqrt(2) + 1) / 2)
    torch.testing.assert_close(alignment_loss(both, projected.expand(2, 2, 1, 1)), expected)


@given(seed=SEEDS, length=st.floats(0.1, 100))
def test_perfect_alignment_is_minus_one(seed, length):
    """alignment_loss(f, c f) = -1 for c > 0, and 1 for c < 0; no projection is better.

    Only the direction of a feature vector counts, so the projector need not learn the encoder's scale.
    """
    target, other = normal(seed, 2, 2, 3, 4, 4)
    torch.testing.assert_close(alignment_loss(target, length * target), torch.tensor(-1.0))
    torch.testing.assert_close(alignment_loss(target, -length * target), torch.tensor(1.0))
    assert -1 < alignment_loss(target, other) < 1


def test_the_gradient_stops_at_the_encoder(model):
    """d L_REPA / d encoder = 0, and d L_REPA / d projector is not.

    Otherwise the encoder could answer the same everywhere. The loss would be perfect, and nothing would be learned.
    """
    network, batch = aligned(model), batch_for(model)
    encoder = nn.Conv2d(batch.z_1.shape[1], FEATURES, 1)
    (network(batch, encoder(batch.z_1), 0, 1.0) - flow_loss(network.model, batch, 0)).backward()
    assert all(parameter.grad is None for parameter in encoder.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.projector.parameters())


def test_alignment_teaches_the_blocks_below_it(model):
    """L_REPA moves the U-ViT encoder and the blocks up to `block`; those above it and the decoder get nothing.

    This is the idea: the lower blocks say what is in the picture, and the upper ones are left free to draw it.
    """
    network, batch = aligned(model), batch_for(model)
    target = normal(1, 4, FEATURES, 4, 4)
    loss = network(batch, target, 0, 1.0)
    parameters = dict(network.model.named_parameters())
    whole = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    alone = torch.autograd.grad(flow_loss(network.model, batch, 0), list(parameters.values()), allow_unused=True)
    moved = {
        name
        for name, a, b in zip(parameters, whole, alone, strict=True)
        if a is not None and not torch.allclose(a, b, rtol=1e-4, atol=1e-7)
    }
    assert f"language_model.model.layers.{BLOCK - 1}.mlp.down_proj.weight" in moved
    assert "vision_gen_enc_aligner.weight" in moved
    above = (f"language_model.model.layers.{BLOCK}.", "language_model.model.norm", "vision_gen_dec")
    assert not [name for name in moved if name.startswith(above)]


@given(seed=SEEDS, coefficient=st.floats(0, 2), block=st.sampled_from([1, 2]))
def test_the_loss_is_the_sum_of_both(model, seed, coefficient, block):
    """AlignedFlow = L_RF + coefficient L_REPA, with the hidden states of the image tokens after block `block`.

    The states are found here another way: in a model that is cut off after this block, without the final norm.
    """
    network, batch = aligned(model, block), batch_for(model, seed)
    target = normal(seed, 4, FEATURES, 8, 8)
    cut = deepcopy(network.model)
    cut.llama.layers, cut.llama.norm = cut.llama.layers[:block], nn.Identity()
    with torch.no_grad():
        z_t, _ = interpolate(batch.z_0, batch.z_1, batch.t)
        x_emb, t_emb, _ = cut.encode(z_t, batch.t)
        rows = PromptPair.from_ids(batch.ids, pad_id=0).with_prompt_dropout(batch.dropped)
        hidden = cut.backbone(cut.align_in(x_emb, t_emb), rows, None)[:, 1:]  # without the time token
        projected = network.projector(hidden).mT.reshape(4, FEATURES, 4, 4)
        pooled = target.reshape(4, FEATURES, 4, 2, 4, 2).mean((3, 5))
        cosine = (projected * pooled).sum(1) / (projected.norm(dim=1) * pooled.norm(dim=1))
        expected = flow_loss(network.model, batch, 0) - coefficient * cosine.mean()
        torch.testing.assert_close(network(batch, target, 0, coefficient), expected)


def test_a_coefficient_of_zero_changes_nothing(model):
    """coefficient = 0: loss and gradient of every weight of the model are those of L_RF, to the bit.

    So two runs that differ in the coefficient alone show what alignment brings.
    """
    network, batch = aligned(model), batch_for(model)
    parameters = list(network.model.parameters())

    def of(loss: torch.Tensor) -> list[torch.Tensor]:
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        return [loss.detach(), *(gradient for gradient in gradients if gradient is not None)]

    plain = of(flow_loss(network.model, batch, 0))
    without, with_it = (of(network(batch, normal(1, 4, FEATURES, 4, 4), 0, c)) for c in (0.0, 1.0))
    assert all(map(torch.equal, plain, without))
    assert not any(map(torch.equal, plain[:1], with_it[:1]))


def test_the_projector_has_three_layers_and_no_hook_stays(model):
    """h(x) = W3 silu(W2 silu(W1 x + b1) + b2) + b3; after the call, no hook is left on the model.

    A hook that stays keeps the hidden states of every later step in memory.
    """
    network, x = aligned(model), normal(0, 3, model.config.language.hidden_size)
    weights, hidden = [*network.projector.parameters()], x
    for i, (w, b) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
        hidden = (nn.functional.silu(hidden) if i else hidden) @ w.T + b
    assert len(weights) == 6
    torch.testing.assert_close(network.projector(x), hidden)
    network(batch_for(model), normal(1, 4, FEATURES, 4, 4), 0, 1.0)
    assert not any(module._forward_hooks for module in network.modules())


def test_no_hook_stays_after_an_error(model):
    """an error inside `with hidden_after(model, block)`  =>  no hook is left on the model.

    A batch that does not fit into memory is such an error. The hook would keep the hidden states of all later calls.
    """
    with pytest.raises(ZeroDivisionError), hidden_after(model, 1):
        _ = 1 / 0
    assert not any(module._forward_hooks for module in model.modules())


def test_the_callers_own_model_is_trained(model):
    """AlignedFlow(model).model is model.

    A copy would learn in its place, and the model that is saved afterwards would be as it was before.
    """
    assert AlignedFlow(model, FEATURES, BLOCK).model is model


def test_image_tokens_are_counted_by_the_stride(model):
    """projector(b, (16 / 4)^2, D) for latents of 16 x 16 and a stride of 4; prompts are filled up with the id given.

    With a stride of 2 for every model, tokens of the prompt would be told to show the picture.
    """
    encoder = replace(model.config.encoder, stride=4, kernel_size=4, padding=0)
    config = replace(model.config, encoder=encoder, decoder=replace(model.config.decoder, upsamples=2))
    network, seen = AlignedFlow(JanusFlow(config), FEATURES, BLOCK), {}
    network.projector.register_forward_pre_hook(lambda _, inputs: seen.update(hidden=inputs[0]))
    network.model.register_forward_pre_hook(lambda _, inputs: seen.update(rows=inputs[2]))
    batch = draw_batch(0, IDS, normal(0, 3, 4, 16, 16), 4, 0)
    network(batch, normal(1, 4, FEATURES, 4, 4), 2, 1.0)
    assert seen["hidden"].shape == (4, 16, config.language.hidden_size)
    assert (seen["rows"].ids[~seen["rows"].attention_mask] == 2).all()


@pytest.mark.parametrize("block", [0, -1, 3])
def test_a_block_that_is_none_is_refused(model, block):
    """block < 1 or block > number of blocks  =>  InputError, before a projector is made.

    Blocks are counted from 1. Counted from 0, the first one would silently be the last.
    """
    with pytest.raises(InputError, match=f"block {block} of the language model: expected 1 to 2"):
        AlignedFlow(model, FEATURES, block)
