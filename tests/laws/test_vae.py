"""The VAE: two files, read strictly, and a decoder and an encoder that undo each other."""

import json
import os
import pickle
import shutil
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock, Mock

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from safetensors.torch import load_file, save_file
from tools.drawn import SEEDS

from janus_minimal import JanusFlowPipeline
from janus_minimal.errors import CheckpointError, InputError
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.loading.picture import read_picture
from janus_minimal.loading.vae import (
    RENAMED,
    encode_mask,
    encode_picture,
    load_vae,
    pixels_per_latent,
    to_pictures,
    unusual,
)
from janus_minimal.shapes.render import PALETTE, render
from janus_minimal.shapes.scene import Thing
from janus_minimal.shapes.vae import draw_scenes, encode_scenes, pictures
from janus_minimal.training.small import build_vae

VAE = BUNDLED / "shapes" / "vae"
WEIGHTS = "diffusion_pytorch_model.safetensors"
SIDE = 48


@pytest.fixture(scope="module")
def vae():
    return load_vae(VAE)


@pytest.fixture
def directory(tmp_path):
    return Path(shutil.copytree(VAE, tmp_path / "vae"))


def edit(directory, **settings):
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | settings))


def rewrite(directory, change):
    weights = load_file(directory / WEIGHTS)
    change(weights)
    save_file(weights, directory / WEIGHTS)


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def drawn(seed):
    """A picture of the small world."""
    (scene,) = draw_scenes(1, (seed,))
    return scene, Image.fromarray(render(scene))


def test_the_network_is_diffusers_own(vae):
    """load_vae(directory) = AutoencoderKL.from_pretrained(directory), in float32 and for evaluation.

    We build and fill it ourselves, and change nothing about it.
    """
    theirs = AutoencoderKL.from_pretrained(VAE)
    assert same_weights(vae, theirs)
    assert vae.config.scaling_factor == theirs.config.scaling_factor
    assert vae.dtype == torch.float32
    assert not vae.training
    assert load_vae(VAE, "meta").device.type == "meta"


class Executed:
    """Its pickle makes a folder when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_other_files_in_the_folder_are_not_looked_at(directory, vae):
    """load_vae(directory + index, pickle, FIFO, device) = load_vae(directory), at once.

    diffusers prefers an index, and loads the shards that it names: a pickle ran code, a shard of
    integers gave a black picture, a FIFO was waited for, and /dev/zero filled the memory.
    """
    shard = "diffusion_pytorch_model-00001-of-00002.bin"
    names = dict.fromkeys(vae.state_dict(), shard)
    index = {"metadata": {"total_size": 1}, "weight_map": names}
    (directory / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    (directory / shard).write_bytes(pickle.dumps(Executed(directory / "executed")))
    (directory / "diffusion_pytorch_model.bin").symlink_to(shard)
    os.mkfifo(directory / "diffusion_pytorch_model.fp16.safetensors")
    (directory / "model.safetensors").symlink_to("/dev/zero")
    assert same_weights(load_vae(directory), vae)
    assert not (directory / "executed").exists()


@pytest.mark.parametrize("kind", ["FIFO", "device", "pickle", "nothing", "half a file"])
@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_a_file_that_is_none_is_refused(directory, name, kind):
    """FIFO, device, pickle, half a file in place of one of the two files  =>  CheckpointError, at once.

    The index beside it, which names the same weights in a pickle, is no way around.
    """
    path = directory / name
    content = path.read_bytes()
    path.unlink()
    {
        "FIFO": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "pickle": lambda: path.write_bytes(pickle.dumps(Executed(directory / "executed"))),
        "nothing": lambda: None,
        "half a file": lambda: path.write_bytes(content[: len(content) // 2]),
    }[kind]()
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        load_vae(directory)
    assert not (directory / "executed").exists()


@given(data=st.data())
def test_a_wrong_weight_is_named(vae, data, tmp_path_factory):
    """a key that is missing, unknown, of another shape, no float or not finite  =>  CheckpointError.

    diffusers would go on with random weights in its place, or with NaN.
    """
    directory = Path(shutil.copytree(VAE, tmp_path_factory.mktemp("wrong") / "vae"))
    key = data.draw(st.sampled_from(sorted(vae.state_dict())))
    change, word = data.draw(
        st.sampled_from(
            [
                (lambda w: w.pop(key), "lacks"),
                (lambda w: w.update({f"{key}.more": torch.ones(1)}), "unknown"),
                (lambda w: w.update({key: torch.cat([w[key], w[key]])}), "shape"),
                (lambda w: w.update({key: w[key].long()}), "I64"),
                (lambda w: w[key].view(-1)[-1:].fill_(torch.nan), "not finite"),
            ]
        )
    )
    rewrite(directory, change)
    with pytest.raises(CheckpointError, match=word) as error:
        load_vae(directory)
    assert key in str(error.value)


def test_the_older_names_of_the_attention_layers_are_read(tmp_path):
    """load_vae(query, key, value, proj_attn) = load_vae(to_q, to_k, to_v, to_out.0).

    Stable Diffusion's first VAEs are stored so, and diffusers renames them without a word.
    """
    torch.manual_seed(0)
    plain = AutoencoderKL(block_out_channels=(32,), sample_size=8)  # with attention in the middle
    plain.save_pretrained(tmp_path)
    assert same_weights(load_vae(tmp_path), plain)

    def rename(weights):
        for key in list(weights):
            old = key
            for before, since in RENAMED.items():
                old = old.replace(since, before)
            weights[old] = weights.pop(key)

    rewrite(tmp_path, rename)
    assert any(".proj_attn." in key for key in load_file(tmp_path / WEIGHTS))
    assert same_weights(load_vae(tmp_path), plain)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((name, value) for name in ("latent_channels", "layers_per_block") for value in (0, -1, 10**9, "wide", [])),
        *(("scaling_factor", value) for value in (0, -1, float("nan"), float("inf"), "large", None)),
        *(("block_out_channels", value) for value in ([], [10**9], [16] * 9, [16, 32], 16, "wide", [16, -32, 64])),
        *(("norm_num_groups", value) for value in (0, 7, 10**30)),
        *(("in_channels", value) for value in (1, 10**9)),
        *(("down_block_types", value) for value in (["DownEncoderBlock2D"], ["os.system"] * 3, 3)),
        *(("sample_size", value) for value in (0, -1, 10**9)),
        *(("act_fn", value) for value in ("none", 3)),
        ("_class_name", "VQModel"),
    ],
)
def test_a_wrong_setting_is_one_line_at_once(directory, field, value):
    """a setting that no VAE of ours has  =>  CheckpointError in one line, before any weight is read.

    The network is built from these numbers before the weights are looked at.
    """
    edit(directory, **{field: value})
    (directory / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=r"config\.json") as error:
        load_vae(directory)
    assert WEIGHTS not in str(error.value)


@pytest.mark.parametrize("note", [{"model_type": "multi_modality"}, {"architectures": ["MultiModalityCausalLM"]}])
def test_the_config_of_a_language_model_is_named_as_one(directory, note):
    """model_type or architectures in the config of a VAE  =>  CheckpointError, which says where the VAE's is.

    `--vae` with the folder of the checkpoint, and not with its folder vae, is the likely mistake.
    """
    edit(directory, **note)
    with pytest.raises(CheckpointError, match=r"config\.json is of a language model: expected a VAE's; .*folder vae$"):
        load_vae(directory)


def test_a_network_is_built_without_memory_for_its_weights(monkeypatch):
    """AutoencoderKL(config) is called where torch's default device is "meta".

    Random numbers for all weights would cost as much time as reading them, and twice their memory.
    """
    seen = []

    class Seen(AutoencoderKL):
        def __init__(self, **config):
            seen.append(torch.get_default_device().type)
            super().__init__(**config)

    monkeypatch.setattr("janus_minimal.loading.vae.AutoencoderKL", Seen)
    load_vae(VAE)
    assert seen == ["meta"]


def test_a_vae_is_given_what_lies_on_its_device(unchecked, monkeypatch):
    """decode(latents on the VAE's device, in its dtype), encode(pixels there); encode_picture gives float32 on the CPU.

    The meta device stands in for a GPU.
    """
    monkeypatch.setattr("janus_minimal.loading.vae.without_autocast", lambda device: nullcontext())
    config = SimpleNamespace(latent_channels=4, scaling_factor=1.0)
    there, mean = Mock(device=torch.device("meta"), dtype=torch.bfloat16, config=config), MagicMock()
    there.encode.return_value.latent_dist.mean, there.decode.side_effect = mean, InterruptedError
    found = encode_picture(there, Image.new("RGB", (8, 8)), 8)
    assert found is mean.__mul__.return_value.float.return_value.cpu.return_value
    with pytest.raises(InterruptedError):
        to_pictures(there, torch.zeros(1, 4, 2, 2))
    for call in (there.encode.call_args, there.decode.call_args):
        assert (call.args[0].device.type, call.args[0].dtype) == ("meta", torch.bfloat16)


def test_a_network_of_too_many_levels_is_not_built(directory):
    """levels > 8  =>  CheckpointError.

    A list in a config can be a million entries long.
    """
    types = {
        f"{way}_block_types": [f"{way.title()}{coder}Block2D"] * 9
        for way, coder in (("down", "Encoder"), ("up", "Decoder"))
    }
    edit(directory, block_out_channels=[16] * 9, **types)
    with pytest.raises(CheckpointError, match="block_out_channels"):
        load_vae(directory)


@pytest.mark.parametrize(
    ("name", "value"), [("shift_factor", 0.1159), ("latents_mean", [0.1] * 4), ("latents_std", [2.0] * 4)]
)
def test_a_vae_that_shifts_its_latents_is_refused(directory, name, value):
    """shift != 0  =>  CheckpointError.

    The VAEs of Stable Diffusion 3 and Flux have one. Decoding without it would give wrong colours.
    """
    edit(directory, **{name: value})
    with pytest.raises(CheckpointError, match=f"{name} is .*: such a VAE shifts its latents"):
        load_vae(directory)


@pytest.mark.parametrize(
    ("name", "value"), [("shift_factor", 0.1159), ("latents_mean", [0.1] * 4), ("latents_std", [2.0] * 4)]
)
def test_a_pipeline_takes_a_shift_from_a_class_that_knows_it_alone(pipe, name, value):
    """Pipeline(AutoencoderKL with a shift)  =>  CheckpointError; a subclass of it is taken.

    diffusers' own class leaves the shift to whoever calls it, and nothing here adds it.
    """

    class Shifted(AutoencoderKL):
        pass

    for kind in (AutoencoderKL, Shifted):
        vae = kind.from_config(pipe.vae.config)
        vae.register_to_config(**{name: value})
        if kind is Shifted:
            assert JanusFlowPipeline(pipe.model, vae, pipe.tokenizer).vae is vae
        else:
            with pytest.raises(CheckpointError, match=f"the VAE's {name} is .*: such a VAE shifts its latents"):
                JanusFlowPipeline(pipe.model, vae, pipe.tokenizer)


def test_an_unknown_setting_is_warned_of(directory, vae):
    """load_vae(config + unknown) = load_vae(config), with a warning.

    A later version of diffusers may add settings. Most change nothing, and the user should know.
    """
    edit(directory, sparkle=3, _diffusers_version="99")
    with pytest.warns(UserWarning, match="sparkle is not known here"):
        assert same_weights(load_vae(directory), vae)


@given(seed=SEEDS)
def test_decoding_an_encoded_picture_gives_the_picture(vae, seed):
    """|to_pictures(encode_picture(x)) - x| < 0.02 on average, in colours of 0..1.

    The bundled VAE loses a little at the edges: 0.003 on average, and 0.006 in the worst of 64 scenes.
    """
    _, picture = drawn(seed)
    (back,) = to_pictures(vae, encode_picture(vae, picture, SIDE), "np")
    assert np.abs(back - np.asarray(picture) / 255).mean() < 0.02


@given(seed=SEEDS)
def test_a_latent_is_the_scaled_mean_of_the_posterior(vae, seed):
    """encode_picture(x) = scaling_factor E[z | x]: float32, on the CPU, the same every time.

    The flow was trained on such latents, whose variance is one. A sample would add noise.
    """
    scene, picture = drawn(seed)
    latent = encode_picture(vae, picture, SIDE)
    torch.testing.assert_close(latent, encode_scenes(vae, [scene]))
    assert latent.dtype == torch.float32
    assert latent.shape == (1, 4, SIDE // pixels_per_latent(vae), SIDE // pixels_per_latent(vae))
    assert torch.equal(latent, encode_picture(vae, picture, SIDE))
    assert not latent.requires_grad


def test_a_vae_in_16_bits_gives_latents_in_32(vae):
    """dtype(encode_picture(VAE in bfloat16)) = float32.

    The loop adds small steps to the latent, whatever the VAE computes in.
    """
    assert encode_picture(deepcopy(vae).bfloat16(), drawn(0)[1], SIDE).dtype == torch.float32


@given(factor=st.floats(0.25, 4))
def test_the_scaling_factor_cancels(vae, factor):
    """to_pictures(encode_picture(x)) is the same for every scaling factor.

    One multiplies by it, the other divides. If both multiplied, colours would be wrong twice.
    """
    _, picture = drawn(0)
    vae = deepcopy(vae)
    plain = encode_picture(vae, picture, SIDE)
    decoded = to_pictures(vae, plain, "pt")
    vae.register_to_config(scaling_factor=vae.config.scaling_factor * factor)
    scaled = encode_picture(vae, picture, SIDE)
    torch.testing.assert_close(scaled, plain * factor)
    torch.testing.assert_close(to_pictures(vae, scaled, "pt"), decoded)


def circle(colour):
    """The pixels of one large circle, in -1..1."""
    return pictures([(Thing(colour, "circle", 24.0, 24.0, 16.0),)])


@torch.no_grad()
def colour_after(vae, pixels, scale=1.0):
    """The palette's colour that is nearest to the middle of the picture, encoded, scaled and decoded."""
    decoded = vae.decode(scale * vae.encode(pixels).latent_dist.mean).sample
    middle = (decoded[0, :, 20:28, 20:28].mean(dim=(1, 2)) + 1) * 127.5
    return min(PALETTE, key=lambda name: (middle - torch.tensor(PALETTE[name])).norm())


def test_a_scaled_latent_is_another_colour(vae):
    """decode(2 E[z | red]) is orange, decode(E[z | orange] / 2) is red; unscaled, every colour is itself.

    A colour is a place in the space of the four channels, so a wrong scaling factor changes more than the contrast.
    """
    assert [colour_after(vae, circle(colour)) for colour in PALETTE] == [*PALETTE]
    assert colour_after(vae, circle("red"), 2) == "orange"
    assert colour_after(vae, circle("orange"), 1 / 2) == "red"


def test_pixels_from_0_to_1_are_encoded_as_other_colours(vae):
    """decode(E[z | (x + 1) / 2]): orange becomes red, purple becomes green.

    Both ranges are tensors of one shape, so only the colours tell that pixels were not in -1..1.
    """
    found = {colour: colour_after(vae, (circle(colour) + 1) / 2) for colour in ("orange", "purple")}
    assert found == {"orange": "red", "purple": "green"}


@given(seed=SEEDS, left=st.integers(0, 30), top=st.integers(0, 30), wide=st.booleans())
def test_the_centre_of_a_long_picture_is_encoded(vae, seed, left, top, wide):
    """encode(picture with equal borders on its long side) = encode(picture).

    A model of square pictures can take a photo only if something is cut off, equally on both sides.
    """
    _, picture = drawn(seed)
    border = (left, 0) if wide else (0, top)
    framed = ImageOps.expand(picture, border=(*border, *border), fill="purple")
    assert torch.equal(encode_picture(vae, framed, SIDE), encode_picture(vae, picture, SIDE))


@given(seed=SEEDS, times=st.integers(2, 4))
def test_a_large_picture_is_made_small(vae, seed, times):
    """encode(picture with every pixel n x n times) is near encode(picture).

    The short side becomes image_size, whatever it was.
    """
    _, picture = drawn(seed)
    large = picture.resize((SIDE * times, SIDE * times), Image.Resampling.NEAREST)
    a, b = (to_pictures(vae, encode_picture(vae, each, SIDE), "np") for each in (picture, large))
    assert np.abs(a - b).mean() < 0.02


@given(seed=SEEDS)
def test_every_common_mode_is_read(vae, seed):
    """encode(grey) = encode(grey as RGB); encode(RGBA) = encode(RGBA over white).

    Without an explicit background, transparent parts get whatever colour the file holds there.
    """
    _, picture = drawn(seed)
    grey = picture.convert("L")
    assert torch.equal(encode_picture(vae, grey, SIDE), encode_picture(vae, grey.convert("RGB"), SIDE))
    assert torch.equal(encode_picture(vae, picture.convert("RGBA"), SIDE), encode_picture(vae, picture, SIDE))
    white = encode_picture(vae, Image.new("RGB", (9, 9), "white"), SIDE)
    clear = [Image.new("RGBA", (9, 9), (255, 0, 0, 0)), Image.new("LA", (9, 9), (0, 0)), Image.new("P", (9, 9), 3)]
    clear[2].info["transparency"] = 3  # as in a PNG with a palette
    assert all(encode_picture(vae, picture, SIDE).equal(white) for picture in clear)


def test_a_picture_is_turned_upright(vae):
    """encode(picture that is stored turned, with a note) = encode(picture).

    Phones store photos as the sensor saw them, and note in EXIF how they were held.
    """
    _, picture = drawn(0)
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6  # orientation: turn by 90 degrees clockwise to see it upright
    assert torch.equal(encode_picture(vae, turned, SIDE), encode_picture(vae, picture, SIDE))


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_damaged_exif_data_are_one_line(vae, tmp_path, kind):
    """EXIF data that cannot be read  =>  InputError, from a file and for a picture in memory.

    Pillow raises a SyntaxError, and for a JPEG only when it is asked a second time.
    """
    path = tmp_path / f"picture.{kind}"
    Image.new("RGB", (9, 9)).save(path, exif=b"Exif\0\0" + b"\xff" * 30)
    with Image.open(path) as picture, pytest.raises(InputError, match="EXIF data are damaged"):
        encode_picture(vae, picture.copy(), SIDE)
    with pytest.raises(InputError, match="EXIF data are damaged"):
        encode_picture(vae, read_picture(path), SIDE)


@pytest.mark.parametrize("wrong", ["photo.png", None, np.zeros((9, 9, 3))], ids=["name", "None", "array"])
def test_a_picture_is_an_opened_one(unchecked, vae, wrong):
    """encode_picture, encode_mask: a PIL picture; else InputError.

    The name of a file is what other libraries take in its place. An array is named by its kind, and not with all of
    its numbers.
    """
    kind = type(wrong).__name__
    for encode in (encode_picture, encode_mask):
        with pytest.raises(InputError, match=f"^the picture is a {kind}: expected a PIL.Image, as Image.open"):
            encode(vae, wrong, SIDE)


@pytest.mark.parametrize("mode", ["I", "F", "I;16", "I;16B", "I;16L"])
def test_more_than_eight_bits_are_refused(vae, mode):
    """mode I, F  =>  InputError.

    Pillow would clip 40,000 of 65,535 to 255, and the whole picture would be white.
    """
    with pytest.raises(InputError, match="expected 8 bits a channel"):
        encode_picture(vae, Image.new(mode, (9, 9)), SIDE)


def test_usual_vaes_have_no_unusual_settings(vae):
    """unusual(the small VAE, that of SDXL) = []; another activation, or another number of groups, is named.

    Albums, reports and runs hold fingerprints of VAEs, which must stay the same from version to version.
    """
    large = AutoencoderKL(block_out_channels=(128,), norm_num_groups=32)
    assert unusual(vae) == unusual(build_vae()) == unusual(large) == []
    large.register_to_config(norm_num_groups=64)
    vae = deepcopy(vae)
    vae.register_to_config(act_fn="relu", norm_num_groups=16)
    assert unusual(large) == ["norm_num_groups 64"]
    assert unusual(vae) == ["act_fn relu", "norm_num_groups 16"]


@pytest.mark.parametrize("image_size", [20, 36, 64])
def test_the_picture_size_of_the_model_counts_and_not_that_of_the_vae(vae, image_size):
    """shape(encode(picture)) = [1, c, image_size / 4, image_size / 4], and a mask's too, whatever sample_size says.

    SDXL's VAE notes the size 1024 of its own training pictures. The released model draws 384 pixels. The VAE here
    shrinks by 4, and its note says 48.
    """
    places = image_size // 4
    assert vae.config.sample_size == SIDE
    latent = encode_picture(vae, Image.new("RGB", (90, 70), "red"), image_size)
    assert latent.shape == (1, vae.config.latent_channels, places, places)
    assert encode_mask(vae, Image.new("L", (90, 70), "white"), image_size).shape == (1, 1, places, places)


def test_a_large_picture_is_averaged_when_it_is_made_small(vae):
    """encode(black and white stripes, one pixel wide, four times too large) = encode(grey), nearly.

    Whoever takes one pixel in four gets black or white instead, and jagged edges in a photo.
    """
    stripes = np.zeros((4 * SIDE, 4 * SIDE), dtype=np.uint8)
    stripes[:, ::2] = 255
    for lines in (stripes, stripes.T):
        found = to_pictures(vae, encode_picture(vae, Image.fromarray(lines), SIDE), "np")
        expected = to_pictures(vae, encode_picture(vae, Image.new("L", (SIDE, SIDE), 127), SIDE), "np")
        assert np.abs(found - expected).mean() < 0.02


SDXL = {  # https://huggingface.co/stabilityai/sdxl-vae, config.json
    "_class_name": "AutoencoderKL",
    "_diffusers_version": "0.20.0.dev0",
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "force_upcast": True,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}


@pytest.mark.parametrize("channels", [4, 16])
def test_the_released_sizes_of_a_vae_are_taken(directory, channels):
    """load(config of SDXL's VAE, other weights) complains of the weights, and not of the config; also with c = 16.

    The bounds of the settings are beyond any real VAE. A bound that is too low would refuse the released one.
    """
    (directory / "config.json").write_text(json.dumps(SDXL | {"latent_channels": channels}))
    with pytest.raises(CheckpointError, match=r"diffusion_pytorch_model\.safetensors lacks"):
        load_vae(directory)


@pytest.mark.parametrize("error", [KeyError, TypeError, ZeroDivisionError, RuntimeError, ValueError])
def test_whatever_diffusers_raises_is_one_line(monkeypatch, error):
    """an error of any kind while the network is built from its config  =>  CheckpointError, which names the config.

    Sizes that do not fit each other fail anywhere inside diffusers.
    """
    monkeypatch.setattr("janus_minimal.loading.vae.AutoencoderKL", Mock(side_effect=error("deep inside")))
    with pytest.raises(CheckpointError, match=r"config\.json describes no VAE: .*deep inside"):
        load_vae(VAE)
