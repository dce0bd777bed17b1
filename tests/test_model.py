"""The whole network, with the prompt cache and without."""

from pathlib import Path

import pytest
import torch

from janus_minimal import JanusFlow, PromptPair
from janus_minimal.cache import PromptCache

GOLDEN = Path(__file__).parent / "golden"
T = torch.tensor(0.3)


def noise(images, seed=0):
    return torch.randn(images, 4, 12, 12, generator=torch.Generator().manual_seed(seed))


def velocities(model, ids, z, cached, images=1):
    prompt = PromptPair.from_ids(ids, images)
    with torch.no_grad():
        return torch.stack(model.velocity(z, T, prompt, model.prefill(prompt) if cached else None))


LONG, SHORT = torch.arange(3, 20), torch.arange(40, 45)


@pytest.mark.parametrize("cached", [True, False])
def test_a_batch_is_its_members_one_by_one(model, cached):
    """v(batch)[i] = v(member i), though the prompts' lengths differ and there are two images of each."""
    z = noise(4)
    together = velocities(model, [LONG, SHORT], z, cached, images=2)
    alone = [velocities(model, [ids], z[i : i + 1], cached) for i, ids in enumerate([LONG, LONG, SHORT, SHORT])]
    torch.testing.assert_close(together, torch.cat(alone, dim=1), rtol=0, atol=1e-5)


def test_images_may_stand_at_times_of_their_own(model, prompt):
    """velocity(z, [t_1, t_2])[i] = velocity(z, t_i)[i]."""
    z, times = noise(2), torch.tensor([0.2, 0.7])
    with torch.no_grad():
        together = torch.stack(model.velocity(z, times, prompt))
        for i, t in enumerate(times):
            alone = torch.stack(model.velocity(z, t, prompt))
            torch.testing.assert_close(together[:, i], alone[:, i], rtol=0, atol=1e-5)


def test_the_cache_changes_nothing(model):
    """Keys and values of the prompt depend neither on z nor on t: computed once or every time, they are the same."""
    z = noise(4)
    cached, uncached = (velocities(model, [LONG, SHORT], z, flag, images=2) for flag in (True, False))
    torch.testing.assert_close(cached, uncached, rtol=0, atol=1e-5)


def test_the_cache_is_never_written_after_the_prompt(model, prompt):
    """The same tensors with the same values after a step as before it."""
    cache = model.prefill(prompt)
    before = [(layer.keys, layer.keys.clone(), layer.values, layer.values.clone()) for layer in cache.layers]
    with torch.no_grad():
        model.velocity(noise(2), T, prompt, cache)
    for layer, (keys, keys_then, values, values_then) in zip(cache.layers, before, strict=True):
        assert layer.keys is keys
        assert layer.values is values
        assert torch.equal(keys, keys_then)
        assert torch.equal(values, values_then)


def test_a_cache_returns_prompt_and_new_and_keeps_the_prompt():
    """update(new) = prompt + new along the sequence, as often as it is asked."""
    prompt, new = torch.randn(2, 1, 2, 3, 4), torch.randn(2, 1, 2, 5, 4)
    cache = PromptCache([(prompt[0], prompt[1])])
    for _ in range(2):
        keys, values = cache.update(new[0], new[1], 0)
        assert torch.equal(keys, torch.cat([prompt[0], new[0]], dim=2))
        assert torch.equal(values, torch.cat([prompt[1], new[1]], dim=2))
    assert cache.get_seq_length() == 3


def test_the_unconditional_velocity_knows_only_the_prompts_length(model):
    """Other words of the same number change v_cond and not v_uncond; another number changes v_uncond (a quirk kept)."""
    z, other = noise(1), LONG.flip(0)
    other[0] = LONG[0]
    (cond, uncond), (cond_other, uncond_other), (_, uncond_short) = (
        velocities(model, [ids], z, True) for ids in (LONG, other, LONG[:9])
    )
    assert torch.equal(uncond, uncond_other)
    assert (cond - cond_other).abs().max() > 1e-3
    assert (uncond - uncond_short).abs().max() > 1e-4


def test_the_padding_id_does_not_matter(model):
    """Padding is hidden in every row, so its embedding reaches nothing."""
    z, ids = noise(2), [LONG, SHORT]
    with torch.no_grad():
        a, b = (torch.stack(model.velocity(z, T, PromptPair.from_ids(ids, pad_id=pad))) for pad in (0, 55))
    assert torch.equal(a, b)


def test_later_image_tokens_are_not_seen(model, prompt):
    """Causality: hidden state j depends on tokens up to j."""
    tokens = torch.randn(4, 37, 64)
    changed = tokens.clone()
    changed[:, 20:] = 0
    with torch.no_grad():
        a, b = (model.think(x, prompt.batch(), None) for x in (tokens, changed))
    assert torch.equal(a[:, :20], b[:, :20])
    assert not torch.equal(a[:, 20:], b[:, 20:])


def test_gradient_reaches_every_parameter(model, prompt):
    """No part of the generation path is left out of training."""
    v = model(noise(4), torch.full((4,), 0.4), prompt.batch())
    gradients = torch.autograd.grad(v.square().mean(), list(model.parameters()), allow_unused=True)
    for (name, _), gradient in zip(model.named_parameters(), gradients, strict=True):
        assert gradient is not None, name
        assert gradient.abs().max() > 0, name


def test_half_precision_weights_keep_a_float32_latent(model, prompt):
    """z, t and v are float32 whatever the weights are; bfloat16 weights stay within 5 % of float32 ones."""
    half = JanusFlow.from_pretrained(GOLDEN, dtype=torch.bfloat16)
    z = noise(2)
    with torch.no_grad():
        exact, rounded = (torch.stack(m.velocity(z, T, prompt, m.prefill(prompt))) for m in (model, half))
    assert rounded.dtype == torch.float32
    assert (exact - rounded).norm() / exact.norm() < 0.05
