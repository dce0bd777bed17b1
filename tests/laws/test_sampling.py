"""The loop: it gives the official latents, agrees with diffusers, and can be stopped, changed and continued."""

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from hypothesis import given
from hypothesis import strategies as st
from tools.drawn import PROMPTS, SEEDS, WEIGHTS, normal, pair
from transformers import DynamicCache

from janus_minimal import denoise, guide, time_grid
from janus_minimal.errors import InputError

STEPS = st.integers(1, 5)


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


def latents_and_velocities(model, prompt, z, steps, weight, use_cache=True):
    done = list(denoise(model, prompt, z, time_grid(steps), weight, use_cache))
    return torch.stack([z, *(step.z_next for step in done)]), torch.stack([step.v for step in done])


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize(("name", "weight"), [("loop_w1", 1.0), ("loop_w", 2.0)])
def test_the_loop_is_the_official_one(model, prompt, golden, name, weight, cache):
    """z_{k+1} = z_k + (t_{k+1} - t_k) v_k.

    The expected latents and velocities come from the official modules, run without a cache. Our loop must give them
    with the cache and without it.
    """
    z, v = latents_and_velocities(model, prompt, golden[f"{name}_z"][0], 6, weight, cache)
    assert relative(z, golden[f"{name}_z"]) < 1e-5
    assert relative(v, golden[f"{name}_v"]) < 1e-5


def test_diffusers_scheduler_takes_the_same_steps(model, prompt, golden):
    """z_S(diffusers, sigma = 1 - t) = z_S(ours).

    diffusers' Euler scheduler counts the noise level sigma, which falls while t rises. With its sigmas inverted, it
    takes the same steps as our loop.
    """
    scheduler = FlowMatchEulerDiscreteScheduler(invert_sigmas=True)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / 6, 6))
    z = golden["loop_w_z"][0]
    with torch.no_grad():
        for timestep in scheduler.timesteps:
            v_cond, v_uncond = model.velocity(z, timestep / 1000, prompt, model.prefill(prompt))
            z = scheduler.step(guide(v_cond, v_uncond, 2.0), timestep, z).prev_sample
    assert relative(z, latents_and_velocities(model, prompt, golden["loop_w_z"][0], 6, 2.0)[0][-1]) < 1e-5


def test_feeding_the_prompt_beside_its_cache_is_wrong(model, prompt, golden):
    """v([prompt ; prompt ; t ; z]) != v([prompt ; t ; z]).

    A repaired version of the official loop is passed around that fills a real KV cache, but still feeds the prompt in
    every step. The prompt is then in the sequence twice, and the latents are wrong.
    """
    rows, llama = prompt.batch(), model.llama
    z, kept = golden["loop_w_z"][0], DynamicCache()
    with torch.no_grad():
        for t in time_grid(6)[:-1]:
            x_emb, t_emb, skip = model.encode(torch.cat([z, z]), t)
            new = torch.cat([llama.embed_tokens(rows.ids), model.align_in(x_emb, t_emb)], dim=1)
            hidden = llama(
                inputs_embeds=new, attention_mask=rows.mask(37), past_key_values=kept, use_cache=True
            ).last_hidden_state
            kept.crop(rows.ids.shape[1] - kept.get_seq_length())  # keep only the prompt
            v = model.decode(model.align_out(hidden[:, -37:], skip), t_emb, skip)
            z = z + guide(*v.chunk(2), 2.0) / 6
    assert relative(z, golden["loop_w_z"][-1]) > 0.05


@given(steps=STEPS, cache=st.booleans())
def test_s_steps_ask_the_language_model_s_times(model, prompt, steps, cache):
    """calls of the language model = S, plus one to fill the cache.

    The conditional and the unconditional velocity of a step come from one batch. So each step calls the language model
    once.
    """
    calls = []
    hook = model.llama.register_forward_hook(lambda *_: calls.append(1))
    list(denoise(model, prompt, normal(0, 2, 4, 12, 12), time_grid(steps), 2.0, cache))
    hook.remove()
    assert len(calls) == steps + cache


@given(prompts=PROMPTS, steps=STEPS, k=st.integers(0, 5), weight=WEIGHTS, seed=SEEDS)
def test_the_loop_can_be_left_and_taken_up(model, prompts, steps, k, weight, seed):
    """S steps = k steps, then S - k steps from z_k.

    Only the latent z changes from step to step; the cache holds the prompt alone. So the loop can stop after any step
    and continue later with the same result.
    """
    prompt, times = pair(prompts), time_grid(steps + k + 1)
    z = normal(seed, len(prompts), 4, 12, 12)
    *_, whole = denoise(model, prompt, z, times, weight)
    *_, first = denoise(model, prompt, z, times[: k + 2], weight)
    *_, rest = denoise(model, prompt, first.z_next, times[k + 1 :], weight)
    assert torch.equal(rest.z_next, whole.z_next)


@given(prompts=PROMPTS, steps=STEPS, weight=WEIGHTS, seed=SEEDS)
def test_every_step_is_what_its_parts_say(model, prompts, steps, weight, seed):
    """v = guide(v_cond, v_uncond, w), (v_cond, v_uncond) = velocity(z, t), z_next = z + (t' - t) v.

    The loop only calls the network, guidance and the Euler step in the right order. So each result of a step can be
    computed again from the others.
    """
    prompt, times = pair(prompts), time_grid(steps)
    cache = model.prefill(prompt)
    for k, step in enumerate(denoise(model, prompt, normal(seed, len(prompts), 4, 12, 12), times, weight)):
        with torch.no_grad():
            v_cond, v_uncond = model.velocity(step.z, step.t, prompt, cache)
        assert (step.index, step.t) == (k, times[k])
        assert torch.equal(step.v_cond, v_cond)
        assert torch.equal(step.v_uncond, v_uncond)
        torch.testing.assert_close(step.v, weight * v_cond + (1 - weight) * v_uncond, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(step.z_next, step.z + (times[k + 1] - times[k]) * step.v)


@given(steps=STEPS, seed=SEEDS)
def test_a_weight_of_one_is_the_conditional_loop(model, prompt, steps, seed):
    """w = 1  =>  v = v_cond.

    w = 1 means no guidance. The unconditional rows are still computed, but they do not change the result.
    """
    for step in denoise(model, prompt, normal(seed, 2, 4, 12, 12), time_grid(steps), 1.0):
        assert torch.equal(step.v, step.v_cond)


@given(use_cache=st.booleans())
def test_the_loop_keeps_no_gradient(model, prompt, use_cache):
    """requires_grad(z_k) = requires_grad(v_k) = False, although the weights require gradients.

    Otherwise the computation graphs of all steps would stay in memory.
    """
    assert all(parameter.requires_grad for parameter in model.parameters())
    for step in denoise(model, prompt, normal(0, 2, 4, 12, 12), time_grid(3), 2.0, use_cache):
        assert not step.z_next.requires_grad
        assert not step.v_cond.requires_grad


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("end", ["exhausted", "closed"])
def test_the_callers_gradient_mode_is_never_touched(model, prompt, mode, end):
    """gradient mode before, between and after the steps = the caller's.

    A generator pauses at each yield. If no_grad were still active there, it would also hold in the caller's code.
    """
    with torch.set_grad_enabled(mode):
        steps = denoise(model, prompt, normal(0, 2, 4, 12, 12), time_grid(3))
        for _ in steps:
            assert torch.is_grad_enabled() == mode
            if end == "closed":
                steps.close()
        assert torch.is_grad_enabled() == mode


def test_a_step_says_when_it_begins_and_when_it_ends(model, prompt, golden):
    """step_k.t = t_k, step_k.t_next = t_{k+1}, z_next = z + (t_next - t) v.

    z_next is the latent at t_next. Code that replaces a part of z_next, such as inpainting, needs to know this time.
    """
    times = time_grid(5, shift=2.0)
    steps = list(denoise(model, prompt, golden["loop_w_z"][0], times))
    assert torch.equal(torch.stack([step.t for step in steps]), times[:-1])
    assert torch.equal(torch.stack([step.t_next for step in steps]), times[1:])
    for step in steps:
        torch.testing.assert_close(step.z_next - step.z, (step.t_next - step.t) * step.v)


def test_inpainting_by_the_next_time_keeps_the_known_region_exactly(model, prompt, golden):
    """z_next := (1 - t_next) z_0 + t_next z_1 in the known region  =>  z_S = z_1 there.

    The last step ends at t_next = 1, where this formula gives z_1 exactly. With t in place of t_next, some noise would
    remain in the known region.
    """
    z_0 = golden["loop_w_z"][0]
    z_1 = normal(3, *z_0.shape)
    for step in denoise(model, prompt, z_0, time_grid(6)):
        known = (1 - step.t_next) * z_0 + step.t_next * z_1
        step.z_next = torch.cat([known[..., :6], step.z_next[..., 6:]], dim=-1)
    assert torch.equal(step.z_next[..., :6], z_1[..., :6])


@pytest.mark.parametrize("number", [1, 3, 4])
def test_a_wrong_number_of_latents_is_one_line(model, prompt, number):
    """len(z) != B  =>  InputError, in the loop and in velocity.

    Otherwise the latent of one image could be drawn with the prompt of another, or torch would fail deep inside the
    network.
    """
    z, said = normal(0, number, 4, 12, 12), rf"^{number} latents for a prompt pair of 2 images: expected .*$"
    with pytest.raises(InputError, match=said):
        next(denoise(model, prompt, z, time_grid(2)))
    with pytest.raises(InputError, match=said):
        model.velocity(z, 0.5, prompt)


@given(steps=STEPS, seed=SEEDS)
def test_the_last_denoised_prediction_is_the_final_latent(model, prompt, steps, seed):
    """denoised_{S-1} = z_{S-1} + (1 - t_{S-1}) v_{S-1} = z_S.

    The last step covers the rest of the way to t = 1. So a film of the denoised predictions ends with the final
    picture.
    """
    *_, last = denoise(model, prompt, normal(seed, 2, 4, 12, 12), time_grid(steps))
    torch.testing.assert_close(last.denoised, last.z_next)


def test_the_denoised_prediction_goes_the_rest_of_the_way(model, prompt, golden):
    """denoised = z + (1 - t) v, at every step, wherever the caller leads the loop from there.

    If the velocity stayed constant from time t on, the path would end at this latent. The prediction is what the
    network said, so a film of an edited run shows what the edit has changed only from the next step on.
    """
    for step in denoise(model, prompt, golden["loop_w_z"][0], time_grid(6)):
        step.z_next = step.z_next / 2
        torch.testing.assert_close(step.denoised - step.z, (1 - step.index / 6) * step.v)


def test_the_caller_may_lead_the_loop_elsewhere(model, prompt, golden):
    """step.z_next := x  =>  the next step starts at x.

    A callback or a student can change the latent between two steps. The loop reads z_next again after each yield and
    keeps no other copy.
    """
    steps = denoise(model, prompt, golden["loop_w_z"][0], time_grid(6))
    first = next(steps)
    first.z_next = torch.ones_like(first.z_next)
    assert torch.equal(next(steps).z, first.z_next)


def test_the_clock_stays_in_float32_under_bfloat16_weights(half, prompt, golden):
    """t_k = k / S exactly, z and v in float32.

    In bfloat16, 1/30 becomes 0.033447. The official demo computes its times in this way, and its thirty steps end at t
    = 1.0034 instead of 1.
    """
    steps = list(denoise(half, prompt, golden["loop_w_z"][0], time_grid(6)))
    assert [step.t.item() for step in steps] == time_grid(6)[:-1].tolist()
    assert {tensor.dtype for step in steps for tensor in (step.t, step.z, step.v, step.z_next)} == {torch.float32}
    assert relative(steps[-1].z_next, golden["loop_w_z"][-1]) < 0.05


def test_the_network_is_told_a_thousand_times_the_exact_time(half, prompt, golden):
    """timestep_k = 1000 k / S, in float32, whatever the weights' dtype.

    bfloat16 has only 8 bits of precision. At step 29 of 30, the network would be told 968 instead of 966.67.
    """
    told = []
    hook = half.vision_gen_enc_model.time_embed.register_forward_pre_hook(lambda _, args: told.append(args[0][0]))
    list(denoise(half, prompt, golden["loop_w_z"][0], time_grid(6)))
    hook.remove()
    torch.testing.assert_close(torch.stack(told), 1000 * time_grid(6)[:-1])
