"""The official demo's loop, re-enacted: what its cache does, what two ports do, and ten lines that mend it."""

import pytest
import torch
from tools.official_loop import STEPS, Run, demo, no_cache
from torch import Tensor
from transformers import DynamicCache, LlamaModel

from janus_minimal import denoise, time_grid

WEIGHT = 2.0


def as_published(llama: LlamaModel, prompt: Tensor, mask: Tensor) -> Run:
    """Crop the first step's cache, but loop over the empty list that is being filled: nothing is kept."""
    kept: list[Tensor] | tuple[Tensor, ...] | None = None

    def run(new: Tensor) -> Tensor:
        nonlocal kept
        fed = torch.cat([prompt, new], dim=1)
        hidden = llama(inputs_embeds=fed, attention_mask=mask, past_key_values=kept, use_cache=True).last_hidden_state
        if kept is None:
            kept = []
            for layer in kept:
                kept.append(layer)
            kept = tuple(kept)
        return hidden[:, prompt.shape[1] :]

    return run


def growing(llama: LlamaModel, prompt: Tensor, mask: Tensor) -> Run:
    """Keep every step's keys, and feed the whole prompt again: what some ports do."""
    cache = DynamicCache()

    def run(new: Tensor) -> Tensor:
        fed = torch.cat([prompt, new], dim=1)
        hidden = llama(inputs_embeds=fed, attention_mask=mask, past_key_values=cache, use_cache=True).last_hidden_state
        return hidden[:, prompt.shape[1] :]

    return run


# The mended cache begins here.
def mended(llama: LlamaModel, prompt: Tensor, mask: Tensor) -> Run:
    # Before the loop: run the prompt alone, once, and keep its keys and values.
    length, cache = prompt.shape[1], DynamicCache()
    llama(inputs_embeds=prompt, attention_mask=mask[:, :length], past_key_values=cache, use_cache=True)

    def run(new: Tensor) -> Tensor:
        # In each step: feed only the 1 + N new tokens, at positions L .. L + N.
        # The mask is that of all L + 1 + N tokens.
        positions = torch.arange(length, length + new.shape[1], device=new.device)[None]
        outputs = llama(
            inputs_embeds=new,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )
        cache.crop(-new.shape[1])  # remove this step's keys and values; -n means "the last n"
        return outputs.last_hidden_state

    return run


# The mended cache ends here.


def relative(a: Tensor, b: Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def drawn(model, golden, language_model):
    with torch.no_grad():
        *_, (_, last) = demo(model, golden["input_ids"], golden["loop_w_z"][0], language_model, WEIGHT)
    return last


@pytest.mark.parametrize("language_model", [no_cache, mended])
def test_the_mended_demo_draws_our_latents(model, prompt, golden, language_model):
    """z_S(demo, no cache) = z_S(demo, mended cache) = z_S(denoise) = z_S(official modules).

    The prompt's keys and values are filled once, only new tokens are fed, and no step's own keys stay.
    """
    z = drawn(model, golden, language_model)
    *_, last = denoise(model, prompt, golden["loop_w_z"][0], time_grid(STEPS), WEIGHT)
    assert relative(z, last.z_next) < 1e-5
    assert relative(z, golden["loop_w_z"][-1]) < 1e-5


def test_the_demos_own_cache_stops_at_its_second_step(model, golden):
    """cache after step 1 = ()  =>  AttributeError at step 2.

    The loop that should crop the cache runs over the empty list that it fills.
    """
    with pytest.raises(AttributeError, match="get_seq_length"):
        drawn(model, golden, as_published)


def test_a_cache_that_grows_beside_the_whole_prompt_is_wrong(model, golden):
    """z_S(growing cache) != z_S(no cache), and no error says so.

    Each step then attends to the keys of all steps before it, and to the prompt once for each of them.
    """
    assert relative(drawn(model, golden, growing), golden["loop_w_z"][-1]) > 0.05
