"""Exchanged parts: the page on them runs as it stands, and each exchange does what it says."""

import runpy
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn

from janus_minimal import JanusFlow, PromptPair, denoise, guide, time_grid
from janus_minimal.errors import CheckpointError
from janus_minimal.loading.vae import encode_picture, to_pictures

RECIPES = Path(__file__).parent.parent.parent / "docs" / "figures" / "recipes.py"


@pytest.fixture(scope="module")
def parts():
    fewer = {"range(64)": "range(16)", "steps=36, batch_size=16": "steps=36, batch_size=4"}
    return runpy.run_path(str(RECIPES))["run_page"]("parts.md", fewer)


def test_ids_of_ones_own_are_the_texts_ids(parts):
    """from_ids(encode(template with the text)) = from_text(text): the same ids, masks and positions.

    The template is written out on the page, so this also fixes its line breaks and its last tag.
    """
    by_hand, by_text = parts["by_hand"].batch(), parts["by_text"].batch()
    for name in ("ids", "attention_mask", "positions"):
        assert torch.equal(getattr(by_hand, name), getattr(by_text, name))


def test_a_shifted_vae_centres_its_latents_and_puts_them_back(parts):
    """latent = s (mean - m), picture of z = decode(z / s + m): so a shift of all latents is not seen in the picture.

    A shift on one side only moves every latent, and no error says so.
    """
    pipe, shifted = parts["pipe"], parts["shifted"]
    s, m = pipe.vae.config.scaling_factor, shifted.config.shift_factor
    plain, centred = (encode_picture(vae, parts["stars"], 48) for vae in (pipe.vae, shifted))
    torch.testing.assert_close(centred, plain - s * m)
    found, expected = to_pictures(shifted, centred, "pt"), to_pictures(pipe.vae, plain, "pt")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert m > 0.1


def test_only_the_first_and_the_last_layer_know_the_channels(parts):
    """c = 16 in place of 4  =>  the first convolution and the last one have another shape, and nothing else.

    The picture's side is in no weight at all: the weights of 48 pixels fit a model of 96.
    """
    first, last = ("vision_gen_enc_model.in_conv.weight", "vision_gen_dec_model.out_convs.0.unpatch_conv")
    assert parts["changed"] == {first, f"{last}.weight", f"{last}.bias"}
    assert parts["large"].config.image_size == 96


def test_another_language_model_keeps_the_law_of_the_cache(parts):
    """denoise with another decoder: with cache = without cache.

    Mask, positions and cache are what an exchange gets wrong, and this needs all three.
    """
    found, expected = parts["cached"].z_next, parts["plain"].z_next
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert type(parts["other"].llama).__name__ == "Qwen2Model"
    assert not torch.isclose(found, parts["noise"]).all()


def test_a_second_condition_is_cached_and_hidden_from_the_unconditional_row(parts):
    """Features as the last prompt token: with cache = without cache; v_cond knows them, v_uncond does not.

    They depend neither on z nor on t, so they are part of the prompt. Guidance strengthens only what one row sees.
    """
    assert {name.partition(".")[0] for name in parts["missing"]} == {"reference_aligner"}
    for cached, plain in parts["runs"]:
        torch.testing.assert_close(cached[-1].z_next, plain[-1].z_next, rtol=1e-3, atol=1e-4)
    one, other = (cached[0] for cached, _ in parts["runs"])
    assert not torch.isclose(one.v_cond, other.v_cond, rtol=1e-3, atol=1e-3).all()
    torch.testing.assert_close(one.v_uncond, other.v_uncond, rtol=1e-4, atol=1e-5)


def test_a_map_with_zero_weights_changes_nothing_and_can_learn(parts):
    """map_conv = 0  =>  v(z, map) = v(z) to the last bit, whatever the map; d loss / d map_conv != 0; no map = zeros.

    Training starts from a model that draws, and zeros must not be a dead end.
    """
    assert parts["new_keys"] == ["map_conv.weight"]
    for name in ("v_cond", "v_uncond", "z_next"):
        assert torch.equal(getattr(parts["first_step"], name), getattr(parts["unchanged"], name))
    model, noise, prompt = deepcopy(parts["aligned"]), parts["noise"], parts["prompt"]
    sum(v.square().sum() for v in model.velocity(noise, 0.3, prompt)).backward()
    assert (model.map_conv.weight.grad.flatten(2).norm(dim=2) > 0).all()
    nn.init.normal_(model.map_conv.weight, std=0.05)
    with torch.no_grad():
        seen, plain = (m.velocity(noise, 0.3, prompt)[1] for m in (model, parts["pipe"].model))
        model.map = torch.zeros_like(model.map)
        assert torch.equal(model.velocity(noise, 0.3, prompt)[1], plain)
    assert not torch.isclose(seen, plain, rtol=1e-2, atol=1e-2).all()


def test_a_model_with_a_map_is_saved_and_loaded_by_its_own_class(parts, tmp_path):
    """Aligned.from_pretrained(save(aligned)) = aligned; JanusFlow refuses the file.

    The config says nothing of the map, so only the class knows that the file must hold it.
    """
    aligned = parts["aligned"]
    aligned.save_pretrained(tmp_path)
    again = parts["Aligned"].from_pretrained(tmp_path)
    assert all(torch.equal(weight, again.state_dict()[name]) for name, weight in aligned.state_dict().items())
    with pytest.raises(CheckpointError, match="map_conv"):
        JanusFlow.from_pretrained(tmp_path)


@torch.no_grad()
def test_two_weights_contain_ordinary_guidance(parts):
    """w_map = 1: denoise with the map in both rows; w_map = w_words = w: v_none + w (v_both - v_none).

    Three rows share one cache, so a wrong row or map shows in one of the two.
    """
    model, prompt, noise = deepcopy(parts["aligned"]), parts["prompt"], parts["noise"]
    nn.init.normal_(model.map_conv.weight, std=0.05)
    times, solver = time_grid(3), parts["with_two_weights"]
    *_, expected = denoise(model, prompt, noise, times, 2.5)
    *_, found = solver(1.0)(model, prompt, noise, times, 2.5)
    torch.testing.assert_close(found.z_next, expected.z_next, rtol=1e-3, atol=1e-4)
    step = next(solver(2.5)(model, prompt, noise, times, 2.5))
    v_none = parts["pipe"].model.velocity(noise, times[0], prompt)[1]
    torch.testing.assert_close(step.v, guide(step.v_cond, v_none, 2.5), rtol=1e-3, atol=1e-4)
    assert model.map.shape == noise.shape


def test_an_added_block_changes_nothing_at_first(parts):
    """deeper(z, t) = model(z, t) to the last bit, with and without the cache; at first only the zeroed weights learn.

    x + 0 and x (1 + 0) + 0 round nothing. The identity must not be a dead end: what is zero needs a gradient.
    """
    old, deeper, z, prompt = (parts[name] for name in ("pipe", "deeper", "noise", "prompt"))
    for cached in (False, True):
        with torch.no_grad():
            before, after = (
                torch.stack(model.velocity(z, 0.3, prompt, model.prefill(prompt) if cached else None))
                for model in (old.model, deeper)
            )
        assert torch.equal(before, after)
    found = {name for name, weight in deeper.named_parameters() if weight.requires_grad}
    assert found == deeper.state_dict().keys() - old.model.state_dict().keys()
    sum(v.square().sum() for v in deeper.velocity(z, 0.3, prompt)).backward()
    moved = {name for name, p in deeper.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {name for name in found if name.split(".")[-2] in parts["LAST"]}


def test_a_grown_model_is_saved_and_loaded(parts):
    """load(save(deeper)) = deeper, depth and weights; a config with no place for a weight is refused.

    strict=False would drop the weights of a block without a word.
    """
    again, deeper = parts["again"].model, parts["deeper"]
    assert again.config == deeper.config == parts["one_more"]
    assert all(torch.equal(weight, again.state_dict()[name]) for name, weight in deeper.state_dict().items())
    with pytest.raises(ValueError, match="no place for"):
        parts["grown"](deeper, parts["config"])


def test_a_field_of_ones_own_is_followed(parts):
    """v = (goal - z) / (1 - t)  =>  z_S = goal, for every noise.

    A solver asks for `prefill` and `velocity` and for nothing else.
    """
    torch.testing.assert_close(parts["last"].z_next, parts["goal"], rtol=1e-4, atol=1e-4)


def test_another_network_trains_draws_and_is_saved(parts):
    """A small DiT: flow_loss falls; it draws and is scored; load(save) = it; v_uncond knows no words, nor how many.

    This is all that the package asks of a network: forward, velocity, prefill, config.
    """
    losses, dit, loaded = parts["dit_losses"], parts["dit"], parts["loaded"]
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])
    assert parts["dit_picture"].size == (48, 48)
    assert sum(len(part.right) for part in parts["dit_report"].categories.values()) == 7
    assert all(torch.equal(weight, loaded.state_dict()[name]) for name, weight in dit.state_dict().items())
    captions = ("a star", "a red circle left of a blue square")
    one, other = (PromptPair.from_text(text, parts["pipe"].tokenizer) for text in captions)
    with torch.no_grad():
        (v_one, u_one), (v_other, u_other) = (
            loaded.velocity(parts["noise"], torch.tensor(0.3), p) for p in (one, other)
        )
    torch.testing.assert_close(u_one, u_other)
    assert not torch.isclose(v_one, v_other, rtol=1e-3, atol=1e-3).all()


def test_an_exported_evaluation_takes_prompts_of_other_lengths(parts):
    """exported(z, t, prompt) = velocity(z, t, prompt), for a prompt longer than the one that was traced.

    A length that was fixed while tracing fails only when another caption comes.
    """
    model, noise = parts["mine"], parts["noise"]
    longer = PromptPair.from_text("a red circle left of a blue square", parts["pipe"].tokenizer)
    rows, t = longer.rows, torch.tensor(0.3)
    found = parts["program"].module()(noise, t, rows.ids, rows.attention_mask, rows.positions)
    with torch.no_grad():
        expected = model.velocity(noise, t, longer)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
