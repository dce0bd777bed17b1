"""The official config.json: which settings are read, which are refused, and which sizes fit together."""

import json
import re
from functools import reduce

import pytest
import torch
from tools.checkpoints import edit_config, refused

from janus_minimal import JanusFlow
from janus_minimal.config import DecoderConfig, EncoderConfig, JanusConfig, LanguageConfig
from janus_minimal.errors import CheckpointError
from janus_minimal.loading.config_file import config_from_dict


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("vision_gen_enc_config", "hidden_size", "wide"),
        ("vision_gen_enc_config", "kernel_size", -2),
        ("vision_gen_dec_config", "use_bias", False),
    ],
)
def test_a_wrong_config_value_is_named(directory, section, field, value):
    """a value of a wrong type or range  =>  CheckpointError.

    The message names the field and the value. Otherwise the user would only see an error from inside the network.
    """
    edit_config(directory, lambda c: c[section]["params"].update({field: value}))
    refused(directory, "config.json", field, repr(value))


@pytest.mark.parametrize("value", [10**13, 10**30, float("inf"), float("nan"), -1, None, [], {}])
@pytest.mark.parametrize("field", ["num_hidden_layers", "hidden_size", "rope_theta"])
def test_no_size_asks_for_the_whole_machine(directory, field, value):
    """a value beyond any real model  =>  CheckpointError, at once.

    The model is built from these numbers before the weights are read. A huge number could use up all memory of the
    machine.
    """
    edit_config(directory, lambda c: c["language_config"].update({field: value}))
    refused(directory, "config.json", field)


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [("vision_gen_enc_config", "hidden_size", 32), ("vision_gen_dec_config", "in_channels", 64)],
)
def test_parts_that_do_not_fit_each_other_are_named(directory, section, field, value):
    """width(encoder) = width(decoder) = width(Llama), channels(decoder) = channels(encoder).

    Each part reads what another part writes. So their sizes must agree.
    """
    edit_config(directory, lambda c: c[section]["params"].update({field: value}))
    refused(directory, "config.json", field)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"decoder": DecoderConfig(hidden_size=1024)}, "hidden_size is [1024, 2048]: expected one width"),
        ({"encoder": EncoderConfig(padding=1)}, "padding does not fit"),
        ({"encoder": EncoderConfig(kernel_size=3, padding=0)}, "padding does not fit"),
        ({"language": LanguageConfig(num_attention_heads=2048, num_key_value_heads=1)}, "num_attention_heads"),
        ({"language": LanguageConfig(num_attention_heads=3, num_key_value_heads=1)}, "num_attention_heads"),
        ({"language": LanguageConfig(num_key_value_heads=3)}, "num_key_value_heads"),
    ],
)
def test_every_part_takes_what_the_part_before_gives(parts, said):
    """One width in all parts; kernel - stride <= 2 padding < kernel; heads of an even width; else CheckpointError.

    A padding of 0 that is given is no padding that is left out. RoPE turns pairs, so a head of width 1 has none.
    """
    with pytest.raises(CheckpointError, match=re.escape(said)):
        JanusConfig(**parts)


@pytest.mark.parametrize(("field", "value"), [("rope_scaling", {"factor": 2.0}), ("attention_bias", True)])
def test_a_setting_that_would_compute_something_else_is_refused(directory, field, value):
    """a Llama setting that is not implemented here  =>  CheckpointError.

    If the setting were ignored, the model would compute something else, and no error would be raised.
    """
    edit_config(directory, lambda c: c["language_config"].update({field: value}))
    refused(directory, field)


def test_an_unknown_setting_is_warned_of(directory, model):
    """load(config + unknown) = load(config), with a warning.

    Most unknown settings do not change the computation, so loading continues. The warning tells the user which setting
    is ignored.
    """
    edit_config(directory, lambda c: c["vision_gen_enc_config"]["params"].update({"sparkle": 3}))
    with pytest.warns(UserWarning, match="sparkle is not known here"):
        assert JanusFlow.from_pretrained(directory).config == model.config


@pytest.mark.parametrize("text", ["{", "[]", "3", '"', "[" * 100_000, "\x00", "{}}"])
def test_a_config_that_is_no_object_is_named(directory, text):
    """invalid JSON, or JSON that is not an object  =>  CheckpointError.

    This also holds for text that is nested so deeply that the JSON parser gives up.
    """
    (directory / "config.json").write_text(text)
    refused(directory, "config.json")


def test_sizes_that_do_not_fit_the_weights_are_named(directory):
    """shape(config, key) != shape(file, key)  =>  CheckpointError.

    The config determines the shapes that the weights must have. If they differ, config and weights belong to different
    models.
    """
    edit_config(directory, lambda c: c["language_config"].update({"intermediate_size": 100}))
    refused(directory, "mlp", "config.json")


def test_padding_left_out_means_kernel_minus_stride(directory):
    """padding = ceil(kernel - stride) if the config does not give it.

    This is the default of the official code. At the released size, kernel 2 and stride 2, it is 0.
    """
    edit_config(directory, lambda c: c["vision_gen_enc_config"]["params"].pop("padding"))
    assert JanusFlow.from_pretrained(directory).vision_gen_enc_model.in_conv.padding == (0, 0)


def test_the_released_sizes_are_the_defaults():
    """parameters(encoder) = 21,614,336, parameters(decoder) = 50,561,296; every norm has the epsilon 1e-6.

    The defaults of the config classes are the sizes of the released model. The parameters are counted on the meta
    device, which allocates no memory for them.
    """
    with torch.device("meta"):
        model = JanusFlow(JanusConfig())
        other = JanusFlow(JanusConfig(language=LanguageConfig(num_hidden_layers=1, rms_norm_eps=1e-3)))
    assert {LanguageConfig().rms_norm_eps, EncoderConfig().norm_eps, DecoderConfig().norm_eps} == {1e-6}
    assert model.vision_gen_dec_aligner_norm.eps == 1e-6
    assert other.vision_gen_dec_aligner_norm.eps == 1e-3  # it is of the language model's kind
    count = {name: sum(p.numel() for p in child.parameters()) for name, child in model.named_children()}
    assert count["vision_gen_enc_model"] == 21_614_336
    assert count["vision_gen_dec_model"] == 50_561_296


@pytest.mark.parametrize("number", [0, -1, 3])
@pytest.mark.parametrize("name", ["num_attention_heads", "num_key_value_heads"])
def test_heads_are_at_least_one_and_fit(name, number):
    """hidden_size = 2 heads n, heads = kv heads m, both at least 1; else CheckpointError, which names the setting.

    Sizes that are written in Python are not read from a file, where each number has its limits.
    """
    with pytest.raises(CheckpointError, match=rf"config\.json: {name} does not"):
        JanusConfig(language=LanguageConfig(**{name: number}))


@pytest.mark.parametrize("value", [3, "wide", [], None])
@pytest.mark.parametrize(
    "path", [("language_config",), ("vision_gen_enc_config",), ("vision_gen_enc_config", "params")]
)
def test_a_section_that_is_no_object_is_named(directory, path, value):
    """a section of config.json that is no object  =>  CheckpointError, which names its place.

    Read as an absent one, it would give the released sizes without a word.
    """
    config = json.loads((directory / "config.json").read_text())
    reduce(dict.__getitem__, path[:-1], config)[path[-1]] = value
    with pytest.raises(CheckpointError, match=rf"config\.json: {path[0]}\S* should be an object, not"):
        config_from_dict(config)


@pytest.mark.parametrize("value", [{}, [], "wide"])
def test_a_size_that_is_no_number_is_named(directory, value):
    """image_size of a wrong type  =>  CheckpointError, which names it.

    An object in place of a number is read like a section of the file unless somebody looks.
    """
    edit_config(directory, lambda c: c["vision_und_enc_config"]["params"].update({"image_size": value}))
    refused(directory, "config.json", "image_size")


def test_an_unknown_setting_is_warned_of_once(directory):
    """an unknown key beside head_dim  =>  one warning, which names the key.

    head_dim is compared with two other settings. Who reads all of them for that warns twice.
    """
    config = json.loads((directory / "config.json").read_text())
    language = config["language_config"]
    language |= {"head_dim": language["hidden_size"] // language["num_attention_heads"], "colour": "red"}
    with pytest.warns(UserWarning, match="colour") as warned:
        config_from_dict(config)
    assert len(warned) == 1
