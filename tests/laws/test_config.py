"""The official config.json: what is read, what is refused, what fits."""

import pytest
import torch
from tools.checkpoints import edit_config, refused

from janus_minimal import JanusFlow


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("vision_gen_enc_config", "hidden_size", "wide"),
        ("vision_gen_enc_config", "kernel_size", -2),
        ("vision_gen_dec_config", "use_bias", False),
    ],
)
def test_a_wrong_config_value_is_named(directory, section, field, value):
    """field not of its kind or range  =>  CheckpointError.

    The field and the value are named, not the line of code that fell over it.
    """
    edit_config(directory, lambda c: c[section]["params"].update({field: value}))
    refused(directory, "config.json", field, repr(value))


@pytest.mark.parametrize("value", [10**13, 10**30, float("inf"), float("nan"), -1, None, [], {}])
@pytest.mark.parametrize("field", ["num_hidden_layers", "hidden_size", "rope_theta"])
def test_no_size_asks_for_the_whole_machine(directory, field, value):
    """field beyond any model's  =>  CheckpointError, at once.

    The model is built from these numbers before the weights are looked at.
    """
    edit_config(directory, lambda c: c["language_config"].update({field: value}))
    refused(directory, "config.json", field)


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [("vision_gen_enc_config", "hidden_size", 32), ("vision_gen_dec_config", "in_channels", 64)],
)
def test_parts_that_do_not_fit_each_other_are_named(directory, section, field, value):
    """width(encoder) = width(decoder) = width(Llama), channels(decoder) = channels(encoder).

    What one gives the next takes.
    """
    edit_config(directory, lambda c: c[section]["params"].update({field: value}))
    refused(directory, "config.json", field)


@pytest.mark.parametrize(("field", "value"), [("rope_scaling", {"factor": 2.0}), ("attention_bias", True)])
def test_a_setting_that_would_compute_something_else_is_refused(directory, field, value):
    """Llama with a setting that is not computed here  =>  CheckpointError.

    To leave it out would be silently wrong.
    """
    edit_config(directory, lambda c: c["language_config"].update({field: value}))
    refused(directory, field)


def test_an_unknown_setting_is_warned_of(directory, model):
    """load(config + unknown) = load(config), with a warning.

    It may be of no matter here, as most are; who wrote it should know that it is left out.
    """
    edit_config(directory, lambda c: c["vision_gen_enc_config"]["params"].update({"sparkle": 3}))
    with pytest.warns(UserWarning, match="sparkle is not known here"):
        assert JanusFlow.from_pretrained(directory).config == model.config


@pytest.mark.parametrize("text", ["{", "[]", "3", '"', "[" * 100_000, "\x00", "{}}"])
def test_a_config_that_is_no_object_is_named(directory, text):
    """invalid JSON  =>  CheckpointError.

    However deep it nests.
    """
    (directory / "config.json").write_text(text)
    refused(directory, "config.json")


def test_sizes_that_do_not_fit_the_weights_are_named(directory):
    """shape(config, key) != shape(file, key)  =>  CheckpointError.

    The config makes the shapes that the weights must have.
    """
    edit_config(directory, lambda c: c["language_config"].update({"intermediate_size": 100}))
    refused(directory, "mlp", "config.json")


def test_padding_left_out_means_kernel_minus_stride(directory):
    """padding = ceil(kernel - stride) where the config leaves it out.

    The official default, 0 at the released size.
    """
    edit_config(directory, lambda c: c["vision_gen_enc_config"]["params"].pop("padding"))
    assert JanusFlow.from_pretrained(directory).vision_gen_enc_model.in_conv.padding == (0, 0)


def test_the_released_sizes_are_the_defaults():
    """parameters(encoder) = 21,614,336, parameters(decoder) = 50,561,296.

    The released sizes are the defaults; counted on the meta device, without memory for them.
    """
    from janus_minimal.config import JanusConfig

    with torch.device("meta"):
        model = JanusFlow(JanusConfig())
    count = {name: sum(p.numel() for p in child.parameters()) for name, child in model.named_children()}
    assert count["vision_gen_enc_model"] == 21_614_336
    assert count["vision_gen_dec_model"] == 50_561_296
