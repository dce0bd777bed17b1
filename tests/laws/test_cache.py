"""The prompt cache: filled once, then only read, with the same result as computing the prompt again."""

from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tools.drawn import PROMPTS, SEEDS, normal, pair
from transformers import DynamicCache

from janus_minimal import PromptPair, denoise, time_grid
from janus_minimal.cache import PromptCache
from janus_minimal.errors import InputError
from janus_minimal.prompt import PromptRows
from janus_minimal.training.finetune import prepare
from janus_minimal.training.tuning import Tuning

CLOSE = {"rtol": 0, "atol": 1e-5}


@given(prompts=PROMPTS, images=st.integers(1, 2), t=st.floats(0, 1, width=32), seed=SEEDS)
def test_the_cache_changes_nothing(model, prompts, images, t, seed):
    """v(z, t, prompt, cache) = v(z, t, prompt).

    Attention is causal and the prompt comes first, so the prompt's keys and values do not depend on the later tokens.
    Reading them from the KV cache gives the same result as computing them again.
    """
    prompt = pair(prompts, images)
    z = normal(seed, prompt.num_images, 4, 12, 12)
    with torch.no_grad():
        cached, uncached = (torch.stack(model.velocity(z, t, prompt, c)) for c in (model.prefill(prompt), None))
    torch.testing.assert_close(cached, uncached, **CLOSE)


@given(prompts=PROMPTS, steps=st.integers(1, 4), seed=SEEDS)
def test_the_cache_changes_nothing_at_any_step(model, prompts, steps, seed):
    """z_k(cached) = z_k(uncached), k = 0 .. S, for every image.

    The cache is not changed during the loop. So it cannot become wrong in a later step.
    """
    prompt = pair(prompts)
    z, times = normal(seed, prompt.num_images, 4, 12, 12), time_grid(steps)
    loops = (denoise(model, prompt, z, times, 2.0, cache) for cache in (True, False))
    for cached, uncached in zip(*loops, strict=True):
        torch.testing.assert_close(cached.z_next, uncached.z_next, rtol=1e-5, atol=1e-4)


@given(prompts=PROMPTS, t=st.floats(0, 1, width=32), seed=SEEDS)
def test_the_prompts_keys_and_values_depend_neither_on_z_nor_on_t(model, prompts, t, seed):
    """K(prompt ; z, t)[:L] = K(prompt), and V likewise, in every layer.

    A prompt token attends only to itself and to earlier prompt tokens. Neither the latent nor the time reaches it, so
    its keys and values are the same in all steps.
    """
    prompt, whole = pair(prompts), DynamicCache()
    z = normal(seed, 2 * prompt.num_images, 4, 12, 12)
    rows, length = prompt.batch(), prompt.rows.ids.shape[1]
    with torch.no_grad():
        x_emb, t_emb, _ = model.encode(z, torch.tensor(t))
        inputs = torch.cat([model.llama.embed_tokens(rows.ids), model.align_in(x_emb, t_emb)], dim=1)
        positions = torch.cat([rows.positions, rows.new_positions(37)], dim=1)
        model.llama(inputs_embeds=inputs, attention_mask=rows.mask(37), position_ids=positions, past_key_values=whole)
        kept = model.prefill(prompt)
    seen = rows.attention_mask[:, None, :, None]  # masked tokens are never attended to, so their keys may differ
    for together, alone in zip(whole.layers, kept.layers, strict=True):
        torch.testing.assert_close(together.keys[:, :, :length] * seen, alone.keys * seen, **CLOSE)
        torch.testing.assert_close(together.values[:, :, :length] * seen, alone.values * seen, **CLOSE)


@given(prompts=PROMPTS, steps=st.integers(1, 3), seed=SEEDS)
def test_the_cache_is_never_written_after_the_prompt(model, prompts, steps, seed):
    """cache before step k = cache after step k: the same tensors, the same bytes.

    The keys and values of time token and image tokens change at every step, so they must not stay in the cache. A cache
    that stores only the prompt never needs to be cropped.
    """
    prompt = pair(prompts)
    cache, z = model.prefill(prompt), normal(seed, len(prompts), 4, 12, 12)
    before = [(layer.keys, layer.keys.clone(), layer.values, layer.values.clone()) for layer in cache.layers]
    with torch.no_grad():
        for t in time_grid(steps)[:-1]:
            model.velocity(z, t, prompt, cache)
    for layer, (keys, keys_then, values, values_then) in zip(cache.layers, before, strict=True):
        assert layer.keys is keys
        assert layer.values is values
        assert torch.equal(keys, keys_then)
        assert torch.equal(values, values_then)


@given(length=st.integers(1, 6), new=st.integers(1, 6), seed=SEEDS)
def test_a_cache_returns_prompt_and_new_and_keeps_the_prompt(length, new, seed):
    """update(new) = [prompt ; new], at every call.

    Attention needs the keys and values of the prompt and of the new tokens. Only those of the prompt are stored, so the
    second call returns the same as the first.
    """
    prompt, step = normal(seed, 2, 1, 2, length, 4), normal(seed + 1, 2, 1, 2, new, 4)
    cache = PromptCache([(prompt[0], prompt[1])])
    for _ in range(2):
        keys, values = cache.update(step[0], step[1], 0)
        assert torch.equal(keys, torch.cat([prompt[0], step[0]], dim=2))
        assert torch.equal(values, torch.cat([prompt[1], step[1]], dim=2))
    assert cache.get_seq_length() == length


@given(prompts=PROMPTS, images=st.integers(1, 3))
def test_the_prompt_is_computed_once_for_all_its_images(model, prompts, images):
    """cache(k images)[p k + i] = cache(1 image)[p].

    All images of one prompt have the same prompt keys and values. The language model computes them once, and they are
    repeated for each image.
    """
    with torch.no_grad():
        one, many = (model.prefill(pair(prompts, k)).layers for k in (1, images))
    for single, several in zip(one, many, strict=True):
        assert torch.equal(several.keys, single.keys.repeat_interleave(images, dim=0))
        assert torch.equal(several.values, single.values.repeat_interleave(images, dim=0))


def test_a_cache_of_another_prompt_is_refused(model):
    """velocity(z, t, a, prefill(b)) raises InputError unless a = b, images of each and all; an equal pair will do.

    With prompts of one length nothing else would notice: the picture would follow b without a word.
    """
    prompt, z = pair([[1, 5, 6, 7, 9]], 2), normal(0, 2, 4, 12, 12)
    others = (pair([[1, 5, 8, 7, 9]], 2), pair([[1, 5, 6, 9]], 2), pair([[1, 5, 6, 7, 9]]), pair([[1, 5, 6, 7, 9]] * 2))
    with torch.no_grad():
        for other in others:
            with pytest.raises(InputError, match="another prompt: expected prefill"):
                model.velocity(z, 0.3, prompt, model.prefill(other))
        found = (model.velocity(z, 0.3, prompt, model.prefill(p))[0] for p in (prompt, pair([[1, 5, 6, 7, 9]], 2)))
        assert torch.equal(*found)


def test_the_prompt_of_a_cache_is_not_compared_with_itself(model, prompt, monkeypatch):
    """velocity(z, t, prompt, prefill(prompt)): the ids of the two are not compared, as they are one object.

    A GPU would have to be waited for in each step.
    """
    cache = model.prefill(prompt)
    monkeypatch.setattr(PromptPair, "equals", lambda *_: pytest.fail("a prompt was compared with itself"))
    with torch.no_grad():
        model.velocity(normal(0, prompt.num_images, 4, 12, 12), 0.3, prompt, cache)


def test_without_a_cache_none_is_filled(model, prompt):
    """velocity(z, t, prompt): the language model gives back no keys and values.

    Nobody reads them, and those of all layers would fill the memory until the step ends.
    """
    kept, z = [], normal(0, prompt.num_images, 4, 12, 12)
    hook = model.llama.register_forward_hook(lambda module, given, output: kept.append(output.past_key_values))
    with torch.no_grad():
        model.velocity(z, 0.3, prompt)
    hook.remove()
    assert kept == [None]


def test_a_cache_that_holds_no_prompt_is_refused(model, prompt):
    """length(prefill(prompt)) = L, else InputError: a model in training mode with gradient checkpointing keeps none.

    The images would attend to each other and to no prompt: another picture, without an error. Without the cache, such a
    model draws the same as ever.
    """
    z, times = normal(0, prompt.num_images, 4, 12, 12), time_grid(1)
    (right,) = denoise(model, prompt, z, times)
    training = prepare(deepcopy(model), Tuning(gradient_checkpointing=True))
    with pytest.raises(InputError, match=r"fills no cache: expected model\.eval\(\)"):
        next(denoise(training, prompt, z, times))
    for again in (denoise(training, prompt, z, times, use_cache=False), denoise(training.eval(), prompt, z, times)):
        torch.testing.assert_close(next(again).z_next, right.z_next, **CLOSE)


# The mask for both directions begins here
def both_ways(rows: PromptRows, new: int) -> torch.Tensor:
    """Let prompt tokens attend backwards, and new tokens to every token: r 1 L+n L+n, queries by keys."""
    length = rows.ids.shape[1]
    allowed = torch.ones(length + new, length + new, dtype=torch.bool).tril()
    allowed[length:] = True  # new tokens attend to later ones too
    itself = torch.eye(length + new, dtype=torch.bool)  # padding attends to itself, for a softmax needs one key
    return rows.mask(new)[:, None, None, :] & allowed | itself


def step_both_ways(llama, new, rows, cache):
    """Compute the hidden states of the new tokens; the cache was filled causally, as ever."""
    n = new.shape[1]
    mask, positions = both_ways(rows, n)[:, :, -n:], rows.new_positions(n)  # only the queries of new tokens
    return llama(inputs_embeds=new, attention_mask=mask, position_ids=positions, past_key_values=cache)
    # The mask for both directions ends here


@given(prompts=PROMPTS, n=st.integers(2, 6), seed=SEEDS)
def test_new_tokens_may_attend_both_ways_and_the_prompt_be_cached(model, prompts, n, seed):
    """hidden(new | cache) = hidden([prompt ; new])[-n:], if new tokens attend to all and prompt tokens backwards only.

    The cache asks for one thing: that no prompt token attends to a new one. How new tokens attend to each other does
    not matter to it.
    """
    prompt = pair(prompts)
    rows, new = prompt.batch(), normal(seed, 2 * prompt.num_images, n, 64)
    whole = torch.cat([model.llama.embed_tokens(rows.ids), new], dim=1)
    positions = torch.cat([rows.positions, rows.new_positions(n)], dim=1)
    with torch.no_grad():
        cached = step_both_ways(model.llama, new, rows, model.prefill(prompt)).last_hidden_state
        again = model.llama(inputs_embeds=whole, attention_mask=both_ways(rows, n), position_ids=positions)
        causal = model.llama(inputs_embeds=whole, attention_mask=rows.mask(n), position_ids=positions)
    torch.testing.assert_close(cached, again.last_hidden_state[:, -n:], **CLOSE)
    assert not torch.allclose(cached[:, 0], causal.last_hidden_state[:, -n], **CLOSE)  # the first sees later ones


def test_a_tuple_is_no_cache(model):
    """past_key_values = ()  =>  AttributeError.

    The official demo passes on an empty tuple, because it loops over its own empty list. Old versions of transformers
    treated the tuple as "no cache"; current ones stop with this error.
    """
    with pytest.raises(AttributeError, match="get_seq_length"):
        model.llama(inputs_embeds=torch.zeros(1, 3, 64), past_key_values=(), use_cache=True)
