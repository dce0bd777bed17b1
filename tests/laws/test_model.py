"""The whole network: which outputs may depend on which inputs."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tools.drawn import PROMPTS, SEEDS, normal, pair

from janus_minimal import JanusFlow, time_grid
from janus_minimal.loading.config_file import read_config
from janus_minimal.prompt import PromptRows
from janus_minimal.solvers import SOLVERS

GOLDEN = Path(__file__).parent.parent / "golden"
CLOSE = {"rtol": 0, "atol": 1e-5}
T = torch.tensor(0.3)
DEVICES = ["cpu", *([str(torch.accelerator.current_accelerator())] if torch.accelerator.is_available() else [])]


def velocities(model, prompt, z, t=T, cached=True):
    with torch.no_grad():
        return torch.stack(model.velocity(z, t, prompt, model.prefill(prompt) if cached else None))


def latents(seed, images):
    return normal(seed, images, 4, 12, 12)


@given(prompts=PROMPTS, images=st.integers(1, 2), cached=st.booleans(), seed=SEEDS)
def test_a_batch_is_its_members_one_by_one(model, prompts, images, cached, seed):
    """v(batch)[i] = v(member i alone).

    Padding on the left is masked and not counted in the positions. So prompts of different lengths can share a batch
    without changing the result.
    """
    z = latents(seed, images * len(prompts))
    together = velocities(model, pair(prompts, images), z, cached=cached)
    owners = [ids for ids in prompts for _ in range(images)]
    alone = [velocities(model, pair([ids]), z[i : i + 1], cached=cached) for i, ids in enumerate(owners)]
    torch.testing.assert_close(together, torch.cat(alone, dim=1), **CLOSE)


@given(images=st.integers(2, 4), seed=SEEDS)
def test_permuted_images_have_permuted_velocities(model, images, seed):
    """v(z[p]) = v(z)[p] for every permutation p of one prompt's images.

    Each image of a batch is computed independently. Its place in the batch makes no difference.
    """
    order = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
    z, prompt = latents(seed, images), pair([[1, 5, 6, 7]], images)
    torch.testing.assert_close(velocities(model, prompt, z[order]), velocities(model, prompt, z)[:, order], **CLOSE)


@given(times=st.lists(st.floats(0, 1, width=32), min_size=2, max_size=3), seed=SEEDS)
def test_images_may_stand_at_times_of_their_own(model, times, seed):
    """v(z, [t_1, t_2])[i] = v(z[i], t_i).

    Sampling uses one time for all images. Training draws a time for each example, so the network accepts both.
    """
    prompt, z = pair([[1, 5, 6, 7]], len(times)), latents(seed, len(times))
    together = velocities(model, prompt, z, torch.tensor(times))
    for i, t in enumerate(times):
        torch.testing.assert_close(together[:, i], velocities(model, prompt, z, t)[:, i], **CLOSE)


@given(ids=st.lists(st.integers(3, 90), min_size=6, max_size=20), seed=SEEDS)
def test_the_unconditional_velocity_knows_only_the_prompts_length(model, ids, seed):
    """v_uncond(words) = v_uncond(other words) of the same number; v_uncond(L) != v_uncond(L - 2).

    The prompt's words are masked in the unconditional row, so they cannot change the velocity. Masked tokens keep their
    position indices, so the prompt's length still does. The official demo draws this way, so we keep it.
    """
    z, other = latents(seed, 1), [ids[0], *[93 - i for i in ids[1:]]]
    (cond, uncond), (cond_other, uncond_other) = (velocities(model, pair([words]), z) for words in (ids, other))
    assert torch.equal(uncond, uncond_other)
    assert (cond - cond_other).abs().max() > 1e-4
    assert (uncond - velocities(model, pair([ids[:-2]]), z)[1]).abs().max() > 1e-5


@given(j=st.integers(1, 36), seed=SEEDS)
def test_later_image_tokens_are_not_seen(model, prompt, j, seed):
    """d hidden_i / d token_j = 0 for i < j.

    Attention is causal among image tokens too. They stand in raster order, so a patch never attends to a later patch.
    """
    tokens = normal(seed, 4, 37, 64)
    changed = tokens.clone()
    changed[:, j:] = 0
    with torch.no_grad():
        a, b = (model.backbone(x, prompt.batch(), None) for x in (tokens, changed))
    assert torch.equal(a[:, :j], b[:, :j])
    assert not torch.equal(a[:, j:], b[:, j:])


@given(seed=SEEDS)
def test_image_tokens_are_read_row_by_row(model, seed):
    """token 1 + (i w + j) = aligner(x_emb[:, :, i, j]), token 0 = t_emb.

    The time token comes first, then the patches in raster order, row by row. A view that mixes channels and positions
    has the right shape too, so only the values can show the bug.
    """
    x_emb, t_emb = normal(seed, 2, 32, 6, 6), normal(seed, 2, 64)
    with torch.no_grad():
        tokens = model.align_in(x_emb, t_emb)
        expected = model.vision_gen_enc_aligner(x_emb[:, :, 2, 3])
    assert torch.equal(tokens[:, 0], t_emb)
    torch.testing.assert_close(tokens[:, 1 + 2 * 6 + 3], expected, **CLOSE)


@given(seed=SEEDS)
def test_hidden_states_go_back_where_their_tokens_came_from(model, seed):
    """back[:, :, i, j] = aligner(norm(hidden_{1 + i w + j})).

    Each image token's hidden state describes its own patch. The time token's hidden state is dropped, and the others
    are laid out row by row.
    """
    hidden, skip = normal(seed, 2, 37, 64), torch.zeros(2, 32, 6, 6)
    with torch.no_grad():
        back = model.align_out(hidden, skip)
        expected = model.vision_gen_dec_aligner(model.vision_gen_dec_aligner_norm(hidden[:, 1 + 4 * 6 + 1]))
    torch.testing.assert_close(back[:, :, 4, 1], expected, **CLOSE)


def test_gradient_reaches_every_parameter(model, prompt):
    """d loss / d p != 0 for every parameter p.

    Training must be able to change the whole generation path. A parameter without a gradient would be unused or cut off
    by mistake.
    """
    v = model(latents(0, 4), torch.full((4,), 0.4), prompt.batch())
    gradients = torch.autograd.grad(v.square().mean(), list(model.parameters()), allow_unused=True)
    for (name, _), gradient in zip(model.named_parameters(), gradients, strict=True):
        assert gradient is not None, name
        assert gradient.abs().max() > 0, name


@given(seed=SEEDS)
def test_half_precision_weights_keep_a_float32_velocity(model, half, prompt, seed):
    """|v(bfloat16) - v(float32)| < 0.05 |v(float32)|, in float32.

    bfloat16 has 8 bits of precision, so each weight is rounded by up to 1 part in 256. The velocity is returned in
    float32, because the loop adds it to the latent in small steps.
    """
    z = latents(seed, 2)
    exact, rounded = velocities(model, prompt, z), velocities(half, prompt, z)
    assert rounded.dtype == torch.float32
    assert (exact - rounded).norm() / exact.norm() < 0.05


@pytest.mark.parametrize("cast", [torch.nn.Module.bfloat16, torch.nn.Module.half, torch.nn.Module.double])
def test_positions_are_exact_after_every_cast(model, cast):
    """inv_freq(model.to(dtype)) = inv_freq(model), in float32.

    This table holds the angles of the rotary embedding (RoPE). Rounded to bfloat16, it would turn position 600 of the
    released width by up to 0.73 radians too far. So it is computed again in float32 after every cast.
    """
    table = model.llama.rotary_emb.inv_freq
    moved = cast(deepcopy(model))
    assert moved.dtype != model.dtype
    assert torch.equal(moved.llama.rotary_emb.inv_freq, table)
    assert torch.equal(moved.float().llama.rotary_emb.inv_freq, table)


def test_casting_is_the_same_as_loading_in_that_dtype(model, half, prompt):
    """v(model.to(bfloat16)) = v(from_pretrained(dtype = bfloat16)).

    A user can load a model in bfloat16, or load it in float32 and cast it. Both ways must give the same model.
    """
    z = latents(0, 2)
    assert torch.equal(velocities(deepcopy(model).to(torch.bfloat16), prompt, z), velocities(half, prompt, z))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("device", DEVICES)
def test_every_device_computes_the_same(device, dtype, cached):
    """v(device) = v(CPU) within 1e-3 in float32, 5 % in bfloat16, for prompts of different lengths.

    A GPU sums in another order, so small differences are allowed. The prompts differ in length because left padding
    needs positions and an attention mask on the device too.
    """
    here, there = (JanusFlow.from_pretrained(GOLDEN, dtype, d) for d in ("cpu", device))
    prompt, z = pair([[1, 5, 6, 7, 8], [1, 9]], 2), latents(0, 4)
    expected = velocities(here, prompt, z, cached=cached)
    found = velocities(there, prompt.to(device), z.to(device), cached=cached).cpu()
    tolerance = 1e-3 if dtype == torch.float32 else 0.05
    assert (found - expected).norm() / expected.norm() < tolerance


@pytest.mark.parametrize("use_cache", [True, False])
def test_no_tensor_is_left_behind_on_the_cpu(monkeypatch, use_cache):
    """device(every tensor of the loop) = device(model), checked on the meta device.

    PyTorch's meta device refuses to be mixed with the CPU, as a GPU does. So the test finds a tensor that was left on
    the CPU, and needs no GPU for it.
    """
    # transformers reads the mask's values, to leave the mask out if nothing is masked. Meta tensors have no values.
    monkeypatch.setattr("transformers.masking_utils._ignore_causal_mask_sdpa", lambda *args, **kwargs: False)
    with torch.device("meta"):
        model = JanusFlow(read_config(GOLDEN))
    prompt = pair([[1, 5, 6, 7, 8], [1, 9]], 2).to("meta")
    for solver in SOLVERS.values():
        for step in solver(model, prompt, torch.zeros(4, 4, 12, 12, device="meta"), time_grid(2), 2.0, use_cache):
            assert {step.z_next.device.type, step.denoised.device.type} == {"meta"}


@given(shift=st.integers(1, 50), seed=SEEDS)
def test_only_differences_of_positions_count(model, shift, seed):
    """hidden(positions + k) = hidden(positions), hidden(2 positions) != hidden(positions).

    RoPE rotates queries and keys by their positions, and attention compares the two, so only the difference is left.
    Positions that are computed and never passed on would break the second law, absolute ones the first.
    """
    ids, tokens = torch.tensor([[1, 5, 6, 7, 8]]), normal(seed, 1, 10, 64)
    places = torch.arange(5)[None]
    rows = [PromptRows(ids, torch.ones(1, 5, dtype=torch.bool), p) for p in (places, places + shift, 2 * places)]
    with torch.no_grad():
        plain, shifted, doubled = (model.backbone(tokens, row, None) for row in rows)
    torch.testing.assert_close(shifted, plain, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(doubled, plain, rtol=1e-3, atol=1e-3)


def test_no_token_begins_or_ends_a_text(model):
    """config(Llama).bos_token_id = config(Llama).eos_token_id = None.

    No text is written. With its own defaults, 1 and 2, transformers warns about vocabularies in which they are not.
    """
    assert (model.llama.config.bos_token_id, model.llama.config.eos_token_id) == (None, None)
