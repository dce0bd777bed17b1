"""Settings of a model: each field of the configuration changes the network as it says."""

import json
from dataclasses import asdict, fields, replace
from inspect import signature

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from tools.checkpoints import edit_config, refused
from tools.drawn import normal, pair
from torch import nn
from transformers import LlamaConfig, LlamaModel

from janus_minimal import JanusFlow
from janus_minimal.config import DecoderConfig, EncoderConfig, JanusConfig, LanguageConfig
from janus_minimal.errors import CheckpointError
from janus_minimal.loading.config_file import config_from_dict, config_to_dict, read_config
from janus_minimal.loading.hub import VAE_FILES, find_checkpoint
from janus_minimal.loading.json_file import read_json
from janus_minimal.loading.vae import RENAMED, VaeConfig

ENCODER = EncoderConfig(block_out_channels=(8,), hidden_size=32, layers_in_middle=1, norm_eps=0.1, dropout=0.25)
DECODER = DecoderConfig(
    block_out_channels=(8,), hidden_size=32, layers_in_middle=2, norm_eps=0.2, dropout=0.5, in_channels=8
)
LANGUAGE = LanguageConfig(
    vocab_size=97,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    rms_norm_eps=0.4,
    rope_theta=777.0,
)
CONFIG = JanusConfig(ENCODER, DECODER, LANGUAGE, image_size=80)


@pytest.fixture(scope="module")
def network() -> JanusFlow:
    torch.manual_seed(0)
    return JanusFlow(CONFIG)


def part_of(name: str) -> float:
    """The eps of a norm by its place in the model."""
    if name.startswith("vision_gen_enc_model"):
        return 0.1
    return 0.2 if name.startswith("vision_gen_dec_model") else 0.4


def test_every_norm_has_the_eps_of_its_own_part(network):
    """norm(x) = weight x / sqrt(mean(x^2) + eps): 0.1 in the encoder, 0.2 in the decoder, 0.4 in the language model.

    All released values are 1e-6, so an eps that is read from the wrong part is seen only in other models.
    """
    norms = {name: part for name, part in network.named_modules() if "RMSNorm" in type(part).__name__}
    assert len(norms) == 1 + 2 + 1 + 1 + 2 * 3 + 1 + 1
    for name, norm in norms.items():
        x = normal(0, 5, norm.weight.shape[0])
        expected = norm.weight * x / (x.square().mean(-1, keepdim=True) + part_of(name)).sqrt()
        torch.testing.assert_close(norm(x), expected, msg=name)


def test_dropout_has_the_rate_of_its_part_and_only_while_training(network):
    """p = 0.25 in the encoder, 0.5 in the decoder; v(eval) is the same twice, v(train) is not.

    A rate that were left out could not be seen in the loss.
    """
    rates = {name: part.p for name, part in network.named_modules() if isinstance(part, nn.Dropout)}
    assert sorted(rates.values()) == [0.25, 0.5, 0.5]
    assert all(rate == (0.25 if "enc_model" in name else 0.5) for name, rate in rates.items())
    prompt, z = pair([[1, 5, 6]]), normal(0, 1, 4, 8, 8)
    with torch.no_grad():
        network.eval()
        assert torch.equal(network.velocity(z, 0.3, prompt)[0], network.velocity(z, 0.3, prompt)[0])
        network.train()
        assert not torch.equal(network.velocity(z, 0.3, prompt)[0], network.velocity(z, 0.3, prompt)[0])
        network.eval()


def test_the_language_model_is_transformers_llama_with_these_settings(network):
    """backbone = LlamaModel(vocabulary, widths, layers, 4 heads, 2 key-value heads, eps, theta) of transformers.

    Grouped-query attention, theta and eps change nothing in the shapes that a wrong value would give, or nothing at all
    at the released size.
    """
    settings = {
        "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 0.4, "rope_theta": 777.0,
    }  # fmt: skip
    theirs = LlamaModel(LlamaConfig(**settings, attn_implementation="eager")).eval()
    theirs.load_state_dict(network.llama.state_dict())
    rows, tokens = pair([[1, 5, 6, 7, 8, 2]]).batch(), normal(0, 2, 17, 32)
    embedded = torch.cat([theirs.embed_tokens(rows.ids), tokens], dim=1)
    mask = torch.cat([rows.attention_mask.long(), torch.ones(2, 17, dtype=torch.long)], dim=1)
    positions = torch.arange(5 + 17).expand(2, -1)
    with torch.no_grad():
        expected = theirs(inputs_embeds=embedded, attention_mask=mask, position_ids=positions).last_hidden_state
        found = network.backbone(tokens, rows, None)
    torch.testing.assert_close(found, expected[:, 5:], rtol=1e-4, atol=1e-5)
    assert network.llama.layers[0].self_attn.k_proj.weight.shape == (2 * 8, 32)
    assert network.llama.config.max_position_embeddings == 64


def test_the_rotary_table_is_float32_and_of_its_theta(network):
    """inv_freq_i = theta^(-2 i / head width), theta = 777, head width 8, in float32 after every cast.

    In bfloat16 the angles at position 600 would be off by half a turn.
    """
    expected = torch.tensor([777.0 ** (-2 * i / 8) for i in range(4)])
    for dtype in (torch.bfloat16, torch.float64, torch.float32):
        table = network.to(dtype).llama.rotary_emb.inv_freq
        assert table.dtype == torch.float32
        torch.testing.assert_close(table, expected)


def test_a_config_is_written_and_read_field_by_field():
    """read(write(config)) = config, with every field another than the default.

    The names in the file are the official ones; a field that is not written comes back as the released model's.
    """
    assert config_from_dict(json.loads(json.dumps(config_to_dict(CONFIG)))) == CONFIG
    written = config_to_dict(CONFIG)
    assert written["language_config"] == {"model_type": "llama", **asdict(LANGUAGE)}
    assert written["vision_gen_enc_config"]["params"]["norm_eps"] == 0.1
    assert written["vision_gen_dec_config"]["params"]["norm_eps"] == 0.2
    assert written["vision_und_enc_config"]["params"]["image_size"] == 80


def test_a_config_that_leaves_everything_out_is_the_released_model():
    """config({}) = D 2048, MLP 5632, 24 layers, 16 heads, 102,400 words, C 768, 2 blocks, patches of 2, 384 pixels.

    The numbers are those of the official config.json, written down here once more.
    """
    config = config_from_dict({})
    language = (102400, 2048, 5632, 24, 16, 16, 16384, 1e-6, 10000.0, "silu", False, False, None)
    assert tuple(asdict(config.language).values()) == language
    shared = ((768,), 2048, 2, 1e-6, True, True, True, 0.0)
    assert tuple(asdict(config.encoder).values()) == (*shared, 4, 2, 2, None)
    assert tuple(asdict(config.decoder).values()) == (*shared, 768, 4, 1)
    assert config.image_size == 384


@pytest.mark.parametrize("theta", [5e5, 50.0])
def test_theta_in_the_newer_form_changes_the_velocity_as_in_the_older(directory, model, theta):
    """rope_parameters {rope_theta} = rope_theta: the same velocity, and another than with theta 10,000.

    transformers 5 writes the object. Where it were ignored, every picture would be a little off. A file with both says
    theta once, in either place.
    """
    edit_config(directory, lambda c: c["language_config"].update(rope_theta=theta))
    older = JanusFlow.from_pretrained(directory)
    parameters = {"rope_type": "default", "rope_theta": theta}
    edit_config(directory, lambda c: (c["language_config"].pop("rope_theta"), c["language_config"].update(
        rope_parameters=parameters, head_dim=16)))  # fmt: skip
    newer = JanusFlow.from_pretrained(directory)
    edit_config(directory, lambda c: c["language_config"].update(
        rope_theta=theta, rope_parameters={"rope_type": "default"}))  # fmt: skip
    assert read_config(directory) == newer.config
    prompt, z = pair([[1, 5, 6, 7]]), normal(0, 1, 4, 12, 12)
    with torch.no_grad():
        a, b, plain = (torch.stack(m.velocity(z, 0.3, prompt)) for m in (older, newer, model))
    assert torch.equal(a, b)
    assert (a - plain).abs().max() > 1e-4


@pytest.mark.parametrize(
    "change",
    [
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0}},
        {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4}},
        {"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}},
        {"rope_parameters": {"rope_theta": 5e5}},  # beside rope_theta 10,000
        {"rope_parameters": []},
        {"head_dim": 8},
    ],
)
def test_another_rotary_embedding_is_refused(directory, change):
    """a rope_type, factor or head width that is not implemented here, or two thetas  =>  CheckpointError.

    Each would be another computation.
    """
    edit_config(directory, lambda c: c["language_config"].update(change))
    refused(directory, next(iter(change)).removesuffix("_parameters"))


def test_key_value_heads_left_out_are_as_many_as_heads(directory):
    """num_key_value_heads absent or null  =>  num_attention_heads, as in the official class.

    The released number, 16, would be wrong for every other size.
    """
    for value in (None, "absent"):
        edit_config(directory, lambda c, value=value: c["language_config"].update(num_key_value_heads=value))
        if value == "absent":
            edit_config(directory, lambda c: c["language_config"].pop("num_key_value_heads"))
        assert read_config(directory).language.num_key_value_heads == 4


def test_the_vaes_defaults_are_those_of_diffusers():
    """VaeConfig() = the defaults of AutoencoderKL, field by field.

    A field that a config leaves out means what diffusers means by it.
    """
    theirs = signature(AutoencoderKL.__init__).parameters
    for field in fields(VaeConfig):
        default = getattr(VaeConfig(), field.name)
        assert default == (tuple(d) if isinstance(d := theirs[field.name].default, (tuple, list)) else d), field.name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_saving_in_a_dtype_stores_that_dtype(model, tmp_path, dtype):
    """dtype(save(model, dtype)) = dtype, the model keeps its own; without one: float32.

    The bundled checkpoint is stored in half the bytes.
    """
    model.save_pretrained(tmp_path, dtype)
    stored = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {dtype}
    assert model.dtype == torch.float32
    for key, tensor in model.state_dict().items():
        assert torch.equal(stored[key], tensor.to(dtype))
    model.save_pretrained(tmp_path)
    assert {tensor.dtype for tensor in load_file(tmp_path / "model.safetensors").values()} == {torch.float32}


@pytest.mark.parametrize(("kernel", "padding", "fits"), [(7, 3, True), (4, 1, True), (4, 3, False), (5, 1, False)])
def test_a_patch_halves_the_latent_or_is_refused(kernel, padding, fits):
    """kernel - stride <= 2 padding < kernel <=> the encoder makes H / 2 of H, at both ends of the condition.

    Another size would meet the skip at the decoder, deep inside torch.
    """
    encoder = replace(ENCODER, kernel_size=kernel, padding=padding)
    if fits:
        x_emb, _, _ = JanusFlow(replace(CONFIG, encoder=encoder)).encode(normal(0, 1, 4, 8, 8), torch.tensor(0.1))
        assert x_emb.shape == (1, 8, 4, 4)
    else:
        with pytest.raises(CheckpointError, match="padding"):
            replace(CONFIG, encoder=encoder)


def test_the_older_names_are_those_of_diffusers():
    """query, key, value, proj_attn -> to_q, to_k, to_v, to_out.0, as in diffusers' own conversion.

    Query and key have the same shape, so if they were exchanged every weight would still be read.
    """
    older = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
    assert older == RENAMED


@pytest.mark.parametrize("key", ["auto_map", "custom_pipelines"])
def test_both_ways_to_name_code_are_refused(tmp_path, key):
    """{auto_map}, {custom_pipelines}  =>  CheckpointError.

    transformers would import what the one names, and what the other names.
    """
    (tmp_path / "config.json").write_text(json.dumps({"deep": [{key: {}}]}))
    with pytest.raises(CheckpointError, match=key):
        read_json(tmp_path / "config.json")


def test_of_a_vaes_repository_two_files_are_fetched(monkeypatch, tmp_path):
    """files(fetched for a VAE) = config.json and its one safetensors file.

    A repository of Stable Diffusion holds a dozen gigabytes in other formats.
    """
    asked = {}
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **given: asked.update(given) or tmp_path)
    find_checkpoint("someone/vae", files=VAE_FILES)
    assert asked["allow_patterns"] == ["config.json", "diffusion_pytorch_model.safetensors"]
