"""The loop gives the official latents; two other opinions, one right and two wrong."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from transformers import DynamicCache

from janus_minimal import JanusFlow, denoise, guide, time_grid

GOLDEN = Path(__file__).parent / "golden"


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


def latents_and_velocities(model, prompt, z, steps, weight, cache=True):
    done = list(denoise(model, prompt, z, time_grid(steps), weight, cache))
    return torch.stack([z, *(step.z_next for step in done)]), torch.stack([step.v for step in done])


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize(("name", "weight"), [("loop_w1", 1.0), ("loop_w", 2.0)])
def test_the_loop_is_the_official_one(model, prompt, golden, name, weight, cache):
    """z_{k+1} = z_k + (t_{k+1} - t_k) v_k, against the official modules run without any cache."""
    z, v = latents_and_velocities(model, prompt, golden[f"{name}_z"][0], 6, weight, cache)
    assert relative(z, golden[f"{name}_z"]) < 1e-5
    assert relative(v, golden[f"{name}_v"]) < 1e-5


def test_diffusers_scheduler_takes_the_same_steps(model, prompt, golden):
    """diffusers counts sigma = 1 - t; with its sigmas inverted its Euler steps are ours."""
    scheduler = FlowMatchEulerDiscreteScheduler(invert_sigmas=True)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / 6, 6))
    z = golden["loop_w_z"][0]
    with torch.no_grad():
        for timestep in scheduler.timesteps:
            v_cond, v_uncond = model.velocity(z, timestep / 1000, prompt, model.prefill(prompt))
            z = scheduler.step(guide(v_cond, v_uncond, 2.0), timestep, z).prev_sample
    assert relative(z, latents_and_velocities(model, prompt, golden["loop_w_z"][0], 6, 2.0)[0][-1]) < 1e-5


def test_the_official_demos_cache_caches_nothing_and_now_crashes(model, prompt, golden):
    """The demo fills its list of cropped keys by looping over that list: empty in, empty out, then a tuple."""
    cropped = []
    for layer in cropped:  # the demo's mistake: it should loop over the model's output
        cropped.append(layer)
    inputs = torch.zeros(4, 45, 64)
    with pytest.raises(AttributeError, match="get_seq_length"):
        model.llama(inputs_embeds=inputs, past_key_values=tuple(cropped), use_cache=True)


def test_feeding_the_prompt_beside_its_cache_is_wrong(model, prompt, golden):
    """The repaired loop that is passed around keeps feeding prompt + time + image: the prompt is seen twice."""
    rows, llama = prompt.batch(), model.llama
    z = golden["loop_w_z"][0]
    kept = DynamicCache()
    with torch.no_grad():
        for t in time_grid(6)[:-1]:
            x_emb, t_emb, skip = model.encode(torch.cat([z, z]), t)
            new = torch.cat([llama.embed_tokens(rows.ids), model.align_in(x_emb, t_emb)], dim=1)
            hidden = llama(
                inputs_embeds=new, attention_mask=rows.mask(37), past_key_values=kept, use_cache=True
            ).last_hidden_state
            kept.crop(kept.get_seq_length() * -1 + rows.ids.shape[1])  # back to the prompt alone
            v = model.decode(model.align_out(hidden[:, -37:], skip), t_emb, skip)
            z = z + guide(*v.chunk(2), 2.0) / 6
    assert relative(z, golden["loop_w_z"][-1]) > 0.05


def test_steps_can_be_taken_in_two_goes(model, prompt, golden):
    """Six steps are two steps, then four from where those ended: there is no state but z."""
    z, times = golden["loop_w_z"][0], time_grid(6)
    whole = list(denoise(model, prompt, z, times))
    first = list(denoise(model, prompt, z, times[:3]))
    rest = list(denoise(model, prompt, first[-1].z_next, times[2:]))
    assert torch.equal(rest[-1].z_next, whole[-1].z_next)


def test_the_last_guess_is_the_final_latent(model, prompt, golden):
    """z + (1 - t) v at the last step is the Euler step to t = 1."""
    *_, last = denoise(model, prompt, golden["loop_w_z"][0], time_grid(6))
    torch.testing.assert_close(last.guess, last.z_next)


def test_the_caller_may_lead_the_loop_elsewhere(model, prompt, golden):
    """The loop goes on from step.z_next, whatever the caller left there."""
    steps = denoise(model, prompt, golden["loop_w_z"][0], time_grid(6))
    first = next(steps)
    first.z_next = torch.ones_like(first.z_next)
    assert torch.equal(next(steps).z, first.z_next)


def test_the_clock_stays_in_float32_under_bfloat16_weights(prompt, golden):
    """t_k = k / S exactly as the grid has it; the official demo's bfloat16 clock ends at 1.0034."""
    half = JanusFlow.from_pretrained(GOLDEN, dtype=torch.bfloat16)
    steps = list(denoise(half, prompt, golden["loop_w_z"][0], time_grid(6)))
    assert [step.t.item() for step in steps] == time_grid(6)[:-1].tolist()
    assert {step.z.dtype for step in steps} == {torch.float32}
    assert relative(steps[-1].z_next, golden["loop_w_z"][-1]) < 0.05
