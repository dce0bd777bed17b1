"""What the small world's networks learn from: examples, tokens and latents that belong together, and sizes."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from tools.drawn import normal

from janus_minimal.config import JanusConfig
from janus_minimal.loading.config_file import config_from_dict
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.shapes.caption import WORDS
from janus_minimal.shapes.examples import SmallWorld, draw_example, tokenize_examples
from janus_minimal.shapes.render import render
from janus_minimal.shapes.score import satisfies
from janus_minimal.shapes.tokenizer import build_tokenizer
from janus_minimal.shapes.vae import encode_scenes
from janus_minimal.training import source
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.small import FLOW_RECIPE, build_flow
from janus_minimal.training.source import encode_examples


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(0)
    return build_flow(33)


def category_of(caption) -> str:
    """The category of a caption, by its form."""
    coloured = all(colour for colour, _ in caption.kinds)
    if caption.relation:
        return "position"
    if caption.count > 1:
        return "counting"
    if len(caption.kinds) == 2:
        return "colour attribution" if coloured else "two objects"
    return "colours" if coloured else "single object"


def test_hard_categories_are_drawn_more_often():
    """Of 20 examples: 1 single object, 2 colours, 3 two objects, 4 positions, 5 counts, 5 colour attributions.

    Captions with two coloured things are learned last, and the mixture decides how often they are seen.
    """
    drawn = Counter(category_of(draw_example(i, seed=4)[0]) for i in range(40))
    shares = {"single object": 1, "colours": 2, "two objects": 3, "position": 4, "counting": 5, "colour attribution": 5}
    assert drawn == {name: 2 * number for name, number in shares.items()}


def test_every_example_is_another_and_depends_on_the_seed():
    """example(i, seed) != example(j, seed'), unless i = j and seed = seed'.

    Examples that repeat would be memorised.
    """
    scenes = {caption.draw(rng) for i in range(8) for seed in range(3) for caption, rng in [draw_example(i, seed)]}
    assert len(scenes) == 24


def test_tokens_are_the_captions_own(pipe):
    """ids[i] = [bos, user:, words of caption i, assistant:, <begin_of_image>], as the bundled tokenizer cuts them.

    The words are compared as text, so it is seen if captions and ids are shifted against each other.
    """
    tokenizer = build_tokenizer()
    found = tokenize_examples(tokenizer, 6, seed=2)
    for i, ids in enumerate(found):
        words = str(draw_example(i, seed=2)[0]).split()
        expected = ["<｜begin▁of▁sentence｜>", "user:", *words, "assistant:", "<begin_of_image>"]
        assert pipe.tokenizer.convert_ids_to_tokens(ids) == expected
    assert len(found) == 6


def test_the_tokenizer_is_that_of_the_bundled_model(pipe):
    """vocabulary(build_tokenizer()) = vocabulary(shapes), 33 tokens; capital letters are read as small ones.

    A word at another place in the list would be another embedding.
    """
    tokenizer = build_tokenizer()
    assert tokenizer.get_vocab() == json.loads((BUNDLED / "shapes" / "tokenizer.json").read_text())["model"]["vocab"]
    assert len(tokenizer) == 33 == 6 + len(WORDS)
    assert tokenizer.encode("A Red CIRCLE") == pipe.tokenizer.encode("a red circle")
    assert (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id) == (0, 1, 3)


def test_latents_show_their_own_captions_whatever_the_chunks(pipe, monkeypatch):
    """picture(latents[i]) shows caption i, and latents(n, chunks of 3) = latents of each scene alone.

    Latents and captions are drawn at different times. A chunk that ends one scene early would shift all that follow.
    """
    monkeypatch.setattr(source, "CHUNK", 3)
    latents = encode_examples(pipe.vae, SmallWorld(8, seed=1))
    drawn = [draw_example(i, seed=1) for i in range(8)]
    pictures = pipe.to_pictures(latents)
    for latent, picture, (caption, rng) in zip(latents, pictures, drawn, strict=True):
        scene = caption.draw(rng)
        torch.testing.assert_close(latent, encode_scenes(pipe.vae, [scene])[0], rtol=1e-4, atol=1e-4)
        assert np.abs(np.asarray(picture).astype(float) - render(scene)).mean() < 5
        assert satisfies(np.asarray(picture), caption)
    assert (latents.device.type, latents.dtype) == ("cpu", torch.float32)


def test_latents_have_about_unit_variance(pipe):
    """std(latents of drawn scenes) = 1 within a tenth, with the bundled VAE's own scaling factor.

    Noise has the variance one. With another factor, one of the two would dominate at most times.
    """
    assert encode_examples(pipe.vae, SmallWorld(20, seed=3)).std().item() == pytest.approx(1, abs=0.1)


def test_the_recipe_is_that_of_the_bundled_model():
    """24,000 steps of 32, rate 2e-3, decay 0.01, warm-up 200, EMA 0.999, a save every 500, seed 0.

    The docs say so, and whoever trains without options gets the bundled model's recipe.
    """
    assert Recipe(24_000, 32, 0.002, 0.01, 200, 0.999, 500, 0) == FLOW_RECIPE


def test_the_untrained_model_has_the_sizes_of_the_bundled_one(untrained):
    """config(build_flow(33)) = config(shapes).

    Its config.json is another source: it was written when the bundled model was trained.
    """
    raw = json.loads((BUNDLED / "shapes" / "config.json").read_text())
    assert untrained.config == config_from_dict(raw)
    assert untrained.config != JanusConfig()
    assert build_flow(50).config.language.vocab_size == 50
    assert build_flow(50, 96).config.image_size == 96


def test_the_first_velocity_is_zero_and_words_differ_from_the_start(untrained, pipe):
    """v = 0 before training; embedding ~ N(0, 1); scale, shift and last convolution are zero, nothing else is.

    The first loss is then that of the answer zero, about 2, and not a number that depends on the random weights.
    """
    from janus_minimal import PromptPair

    prompt = PromptPair.from_text("a red star", pipe.tokenizer)
    v_cond, v_uncond = untrained.velocity(normal(0, 1, 4, 12, 12), 0.3, prompt)
    assert not v_cond.any()
    assert not v_uncond.any()
    table = untrained.llama.embed_tokens.weight
    assert table.mean().item() == pytest.approx(0, abs=0.05)
    assert table.std().item() == pytest.approx(1, abs=0.05)
    matrices = {name: p for name, p in untrained.named_parameters() if p.ndim > 1 and "channelwise_norm" not in name}
    zero = {name for name, parameter in matrices.items() if not parameter.any()}
    assert zero == {name for name in matrices if "cond_embeds_mapper" in name or "unpatch_conv" in name}
