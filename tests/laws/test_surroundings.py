"""Pictures do not depend on what the process around them has set."""

import pytest
import torch
from diffusers.image_processor import VaeImageProcessor
from tools.drawn import normal

from janus_minimal import JanusFlowPipeline
from janus_minimal.jobs.request import Request
from janus_minimal.loading.latents import read_latents, write_latents
from janus_minimal.loading.vae import encode_picture
from janus_minimal.runtime.precision import matrix_precision, without_autocast
from janus_minimal.solvers import SOLVERS


def draw(pipe, **options):
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    options = {"num_images_per_prompt": 2, "generator": generators, "output_type": "pt"} | options
    return pipe("two red stars", 2, progress=False, **options).images


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_a_default_dtype_changes_no_picture(pipe, surroundings, dtype):
    """picture under torch.set_default_dtype(...) = picture, to the bit, loading included.

    A notebook that once set float64 would otherwise draw from other noise. A plain number as a time is float32, too.
    """
    expected, pair, z = draw(pipe), pipe.prompt_pair("a star"), normal(0, 1, 4, 12, 12)
    v_cond, _ = pipe.model.velocity(z, 0.3, pair)
    surroundings(dtype, None)
    assert pipe.model.velocity(z, 0.3, pair)[0].equal(v_cond)
    found = draw(JanusFlowPipeline.from_pretrained("shapes"))
    assert found.dtype == torch.float32
    assert found.equal(expected)


def test_a_default_device_changes_no_picture(pipe, surroundings, tmp_path):
    """picture under torch.set_default_device(...) = picture, to the bit, loading included; so are latents in a file.

    The pipeline is told its device. "meta" stands for any other one: tensors there hold no numbers.
    """
    expected = draw(pipe)
    write_latents(tmp_path / "z", z := normal(0, 1, 4, 12, 12))
    surroundings(torch.float32, "meta")
    assert read_latents(tmp_path / "z", 4).equal(z)
    assert draw(JanusFlowPipeline.from_pretrained("shapes")).equal(expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_no_picture(pipe, dtype):
    """picture under torch.autocast(...) = picture, to the bit; so is a picture's latent.

    The dtype of the weights decides, and the VAE's stays float32: in float16, SDXL's VAE overflows.
    """
    expected = draw(pipe)
    picture = VaeImageProcessor().postprocess(expected)[0]
    latent = encode_picture(pipe.vae, picture, 48)
    with torch.autocast("cpu", dtype):
        assert draw(pipe).equal(expected)
        assert encode_picture(pipe.vae, picture, 48).equal(latent)


def test_autocast_changes_no_step_of_a_walk(pipe):
    """the steps of a walk, taken under torch.autocast(...) = without, to the bit; autocast goes on for the caller.

    A walk is left between its steps. What it switched off there would stay off for whoever shows the step.
    """
    request = Request("two stars", steps=2, num_images=1)
    *_, expected = request.walk(pipe)
    with torch.autocast("cpu", torch.bfloat16):
        seen = [(step, torch.is_autocast_enabled("cpu")) for step in request.walk(pipe)]
    assert [enabled for _, enabled in seen] == [True, True]
    assert torch.equal(seen[-1][0].z_next, expected.z_next)


@pytest.mark.parametrize("solver", SOLVERS)
def test_defaults_change_no_solver(pipe, surroundings, solver):
    """z_S of every solver under other defaults = z_S.

    A solver that makes a tensor of its own must say where, and of which dtype.
    """
    options = {"solver": SOLVERS[solver], "output_type": "latent"}
    expected = draw(pipe, **options)
    surroundings(torch.float64, "meta")
    assert draw(pipe, **options).equal(expected)


def test_defaults_do_not_change_what_a_number_means_as_a_time(model, prompt, surroundings):
    """v(z, 1/3) under other defaults = v(z, 1/3).

    A time that is given as a plain number becomes a tensor, which must be float32 on the latent's device.
    """
    z = normal(0, 2, 4, 8, 8)
    expected = model.velocity(z, 1 / 3, prompt)
    surroundings(torch.float16, "meta")
    for found, right in zip(model.velocity(z, 1 / 3, prompt), expected, strict=True):
        assert found.equal(right)


def test_autocast_is_ended_on_the_device_that_computes():
    """without_autocast(device): torch's switch of that kind of device, and not the CPU's for all.

    Each kind of device has a switch of its own, so on a GPU the CPU's would change nothing.
    """
    kinds = ("cpu", "cpu:0", "cuda", "cuda:1")  # a loaded model lies on a numbered device
    assert [without_autocast(torch.device(kind)).device for kind in kinds] == ["cpu", "cpu", "cuda", "cuda"]


def test_the_precision_of_matrix_products_is_named_wherever_it_was_lowered(precision):
    """matrix_precision() = "float32" by default and at "highest", else the lower ones, of CUDA and of the CPU alike.

    An album that was begun in float32 must not go on in another precision, and one that was begun by default may go on
    at "highest".
    """
    assert matrix_precision() == "float32"
    precision("highest")
    assert matrix_precision() == "float32"
    for name, backend in (("tf32", torch.backends.cuda.matmul), ("bf16", torch.backends.mkldnn.matmul)):
        backend.fp32_precision = name  # the fixture sets both back
        assert name in matrix_precision()
    assert matrix_precision() == "bf16 and tf32"
