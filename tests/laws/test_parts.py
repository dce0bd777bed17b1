"""Exchanged parts: the page on them runs as it stands, and each exchange does what it says."""

import runpy
from pathlib import Path

import pytest
import torch

RECIPES = Path(__file__).parent.parent.parent / "docs" / "figures" / "recipes.py"


@pytest.fixture(scope="module")
def parts():
    return runpy.run_path(str(RECIPES))["run_page"]("parts.md")


def test_ids_of_ones_own_are_the_texts_ids(parts):
    """from_ids(encode(template with the text)) = from_text(text): the same ids, masks and positions.

    The template is written out on the page, so this also fixes its line breaks and its last tag.
    """
    by_hand, by_text = parts["by_hand"].batch(), parts["by_text"].batch()
    for name in ("ids", "attention_mask", "positions"):
        assert torch.equal(getattr(by_hand, name), getattr(by_text, name))


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
