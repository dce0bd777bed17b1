"""The official config.json: which settings are read, which are refused, and which sizes fit together."""

import inspect
import json
import re
import warnings
from copy import deepcopy
from dataclasses import FrozenInstanceError, fields
from functools import reduce

import pytest
import torch
from tools.checkpoints import edit_config, refused
from transformers import LlamaConfig

from janus_minimal import JanusFlow
from janus_minimal.config import DecoderConfig, EncoderConfig, JanusConfig, LanguageConfig
from janus_minimal.errors import CheckpointError
from janus_minimal.loading.config_file import config_from_dict, config_to_dict
from janus_minimal.loading.json_file import warn_of_unknown


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


ODD = DecoderConfig(block_out_channels=(3,), in_channels=3)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"decoder": DecoderConfig(hidden_size=1024)}, "hidden_size is [1024, 2048]: expected one width"),
        ({"language": LanguageConfig(hidden_size=1024)}, "hidden_size is [1024, 2048]: expected one width"),
        ({"decoder": DecoderConfig(block_out_channels=(512,))}, "block_out_channels differ"),
        ({"decoder": DecoderConfig(in_channels=512)}, "in_channels is not the encoder's width"),
        ({"encoder": EncoderConfig(block_out_channels=(3,)), "decoder": ODD}, "block_out_channels is odd"),
        ({"encoder": EncoderConfig(stride=4, kernel_size=4)}, "stride is not 2^upsamples"),
        ({"decoder": DecoderConfig(upsamples=2)}, "stride is not 2^upsamples"),
        ({"encoder": EncoderConfig(input_channels=16)}, "out_channels is not input_channels"),
        ({"encoder": EncoderConfig(padding=1)}, "padding does not fit"),
        ({"encoder": EncoderConfig(kernel_size=3, padding=0)}, "padding does not fit"),
        ({"language": LanguageConfig(num_attention_heads=2048, num_key_value_heads=1)}, "num_attention_heads"),
        ({"language": LanguageConfig(num_attention_heads=3, num_key_value_heads=1)}, "num_attention_heads"),
        ({"language": LanguageConfig(num_key_value_heads=3)}, "num_key_value_heads"),
    ],
)
def test_every_part_takes_what_the_part_before_gives(parts, said):
    """One width in all parts, an even C; stride = 2^upsamples; kernel - stride <= 2 padding < kernel; even heads.

    Anything else is a CheckpointError. A padding of 0 that is given is no padding that is left out. RoPE turns pairs,
    so a head of width 1 has none.
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
    refused(directory, "mlp", "which the config asks for")


@pytest.mark.parametrize(("stride", "fits"), [(2, False), (6, False), (8, True)])
def test_every_upsample_doubles(stride, fits):
    """stride = 2^3 = 8 for three upsamples, and neither 6 nor 2.

    For one and two upsamples, 2 n and 2^n are the same.
    """
    encoder, decoder = EncoderConfig(stride=stride, kernel_size=stride), DecoderConfig(upsamples=3)
    if fits:
        assert JanusConfig(encoder, decoder).encoder.stride == 8
    else:
        with pytest.raises(CheckpointError, match="stride is not"):
            JanusConfig(encoder, decoder)


def test_padding_left_out_means_kernel_minus_stride(directory):
    """padding = ceil(kernel - stride) if the config does not give it.

    This is the default of the official code. At the released size, kernel 2 and stride 2, it is 0.
    """
    edit_config(directory, lambda c: c["vision_gen_enc_config"]["params"].pop("padding"))
    assert JanusFlow.from_pretrained(directory).vision_gen_enc_model.in_conv.padding == (0, 0)


def test_the_released_sizes_are_the_defaults():
    """parameters(encoder) = 21,614,336, parameters(decoder) = 50,561,296; every norm has its part's epsilon, 1e-6.

    The defaults of the config classes are the sizes of the released model. The parameters are counted on the meta
    device, which allocates no memory for them.
    """
    with torch.device("meta"):
        model = JanusFlow(JanusConfig())
        parts = {"encoder": EncoderConfig(norm_eps=1e-4), "decoder": DecoderConfig(norm_eps=1e-5)}
        other = JanusFlow(JanusConfig(language=LanguageConfig(num_hidden_layers=1, rms_norm_eps=1e-3), **parts))
    assert {LanguageConfig().rms_norm_eps, EncoderConfig().norm_eps, DecoderConfig().norm_eps} == {1e-6}
    assert model.vision_gen_dec_aligner_norm.eps == 1e-6
    assert other.vision_gen_dec_aligner_norm.eps == 1e-3  # it is of the language model's kind
    for part, eps in ((other.vision_gen_enc_model, 1e-4), (other.vision_gen_dec_model, 1e-5)):
        assert {module.eps for module in part.modules() if isinstance(module, torch.nn.RMSNorm)} == {eps}
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


UVIT = {
    "block_out_channels": [768],
    "hidden_size": 2048,
    "layers_in_middle": 2,
    "norm_eps": 1e-6,
    "use_mid_block": True,
    "use_bias": True,
    "dropout": 0.0,
    "elementwise_affine": True,
}
RELEASED = {  # the sizes of the official config.json, with what transformers notes beside them
    "architectures": ["MultiModalityCausalLM"],
    "model_type": "multi_modality",
    "torch_dtype": "bfloat16",
    "transformers_version": "4.38.2",
    "language_config": {
        "model_type": "llama",
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "max_position_embeddings": 16384,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "num_key_value_heads": 16,
        "vocab_size": 102400,
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "pretraining_tp": 1,
        "tie_word_embeddings": False,
        "use_cache": True,
        "bos_token_id": 100000,
        "eos_token_id": 100001,
        "pad_token_id": None,
        "torch_dtype": "bfloat16",
        "_attn_implementation": "flash_attention_2",
    },
    "vision_gen_enc_config": {
        "cls": "ShallowUViTEncoder",
        "model_type": "vision_gen_enc",
        "params": UVIT | {"input_channels": 4, "kernel_size": 2, "stride": 2},
    },
    "vision_gen_dec_config": {
        "cls": "ShallowUViTDecoder",
        "model_type": "vision_gen_dec",
        "params": UVIT | {"in_channels": 768, "out_channels": 4, "upsamples": 1},
    },
    "vision_und_enc_config": {"cls": "CLIPVisionTower", "params": {"image_size": 384}},
}


def test_the_released_config_is_read_without_a_word():
    """config(the official config.json) = JanusConfig(), without a warning.

    Every bound lies beyond the released sizes, and every note of transformers is known. Whoever is warned of each
    checkpoint learns to ignore warnings.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert config_from_dict(RELEASED) == JanusConfig()


def test_the_notes_of_todays_transformers_are_known():
    """config(language section with the notes of today's transformers) = JanusConfig(), without a warning.

    It notes its version, the class and the dtype in every section, and theta and the heads' width in a form of its own.
    """
    raw, language = deepcopy(RELEASED), RELEASED["language_config"]
    theirs = LlamaConfig(**language, architectures=["LlamaForCausalLM"]).to_dict()
    names = ("architectures", "model_type", "dtype", "torch_dtype", "rope_parameters", "head_dim")
    notes = {name: theirs[name] for name in names if name in theirs}
    raw["language_config"] = {name: value for name, value in language.items() if name not in names} | notes
    raw["language_config"]["transformers_version"] = "5.0.0"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert config_from_dict(raw) == JanusConfig()


def test_a_theta_that_neither_form_gives_is_the_released_one():
    """rope_parameters without rope_theta, and no rope_theta  =>  10,000.

    The object alone says only that the embedding is the plain one.
    """
    raw = deepcopy(RELEASED)
    raw["language_config"]["rope_parameters"] = {"rope_type": "default"}
    assert config_from_dict(raw).language.rope_theta == 10_000


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_part_may_have_no_blocks(part):
    """layers_in_middle 0 is a number of blocks, and is read.

    Whoever asks what the blocks are good for trains a model without them.
    """
    raw = deepcopy(RELEASED)
    raw[SECTIONS[part]]["params"]["layers_in_middle"] = 0
    assert getattr(config_from_dict(raw), part).layers_in_middle == 0


def test_several_unknown_settings_are_one_warning():
    """three unknown settings  =>  one warning, which names the first of them and says "and 2 more".

    A file may have a million of them.
    """
    raw = deepcopy(RELEASED)
    raw["language_config"] |= {"c": 1, "a": 2, "b": 3}
    with pytest.warns(
        UserWarning, match=r"^config\.json: a \(and 2 more\) is not known here and changes nothing$"
    ) as said:
        config_from_dict(raw)
    assert len(said) == 1


def test_a_warning_points_at_whoever_reads():
    """place of the warning = the line that calls the function in which an unknown setting is found.

    Python shows this line. A line of ours would tell a user nothing.
    """
    code = compile("def read():\n    warn('config.json', ['a'])\n\nread()\n", "theirs.py", "exec")
    with pytest.warns(UserWarning, match="not known here") as said:
        exec(code, {"warn": inspect.unwrap(warn_of_unknown)})  # a wrapper of the tests would be a place of its own
    assert (said[0].filename, said[0].lineno) == ("theirs.py", 4)


SECTIONS = {"language": "language_config", "encoder": "vision_gen_enc_config", "decoder": "vision_gen_dec_config"}
NOT_ZERO = [
    *(("language", name) for name in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")),
    *(("language", name) for name in ("num_attention_heads", "num_key_value_heads", "max_position_embeddings")),
    *(("language", name) for name in ("rms_norm_eps", "rope_theta", "head_dim")),
    *(("encoder", name) for name in ("hidden_size", "norm_eps", "input_channels", "kernel_size", "stride")),
    *(("decoder", name) for name in ("hidden_size", "norm_eps", "in_channels", "out_channels", "upsamples")),
]
OTHERS = [
    *(("language", name, value) for name, value in (("hidden_act", "gelu"), ("mlp_bias", True), ("head_dim", 256))),
    *(("language", name, value) for name, value in (("attention_bias", True), ("rope_scaling", {"factor": 2}))),
    *((part, "block_out_channels", value) for part in ("encoder", "decoder") for value in ([768, 1536], [], [0])),
    *((part, name, False) for part in ("encoder", "decoder") for name in ("use_bias", "elementwise_affine")),
    *((part, "dropout", value) for part in ("encoder", "decoder") for value in (1.5, -0.1)),
]


BOUNDED = [*NOT_ZERO, ("encoder", "padding"), *((part, "layers_in_middle") for part in ("encoder", "decoder"))]


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        *((part, name, 0) for part, name in NOT_ZERO),
        *((part, name, value) for part, name in BOUNDED for value in (-1, 10**13)),
        *OTHERS,
    ],
)
def test_no_value_is_passed_over_in_silence(part, name, value):
    """a size, an eps or a theta of 0, below, or too large; another activation; dropout > 1  =>  CheckpointError.

    It names the field. Such a value is a damaged file or another computation, and would be a division by zero, a
    picture of NaN, a network that fills the memory, or a setting that nobody obeys.
    """
    raw = deepcopy(RELEASED)
    section = raw[SECTIONS[part]]
    section.get("params", section)[name] = value
    with pytest.raises(CheckpointError, match=rf"config\.json: {name}"):
        config_from_dict(raw)


@pytest.mark.parametrize("size", [0, -1, 10**13])
def test_a_picture_has_pixels(size):
    """image_size below 1 or beyond any picture  =>  CheckpointError, which names it.

    The file has it in a section of its own.
    """
    raw = deepcopy(RELEASED)
    raw["vision_und_enc_config"]["params"]["image_size"] = size
    with pytest.raises(CheckpointError, match=rf"config\.json: image_size is {size}"):
        config_from_dict(raw)


def test_a_config_that_is_written_names_the_official_classes():
    """architectures, model_type and cls of a written config = those of the official file.

    The official code builds the class that `cls` names, and transformers finds the model by its type.
    """
    written = config_to_dict(JanusConfig())
    assert (written["architectures"], written["model_type"]) == (["MultiModalityCausalLM"], "multi_modality")
    assert written["language_config"]["model_type"] == "llama"
    classes = [written[f"vision_gen_{part}_config"]["cls"] for part in ("enc", "dec")]
    assert classes == ["ShallowUViTEncoder", "ShallowUViTDecoder"]


@pytest.mark.parametrize("part", [JanusConfig(), EncoderConfig(), DecoderConfig(), LanguageConfig()])
def test_a_config_does_not_change(part):
    """assignment to any field  =>  FrozenInstanceError; equal configs have equal hashes.

    The modules are built from the numbers once. A number that changed later would be saved beside weights that it does
    not describe.
    """
    for field in fields(part):
        with pytest.raises(FrozenInstanceError):
            setattr(part, field.name, getattr(part, field.name))
    assert hash(part) == hash(type(part)())
