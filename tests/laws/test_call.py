"""A call of the pipeline: every argument reaches its place, and every default is the documented one."""

from copy import copy, deepcopy
from dataclasses import replace
from fractions import Fraction
from inspect import signature
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tools.drawn import normal

from janus_minimal import JanusFlow, JanusFlowPipeline, PromptPair, Step, denoise, guide, time_grid
from janus_minimal import pipeline as module
from janus_minimal.config import EncoderConfig, JanusConfig, LanguageConfig
from janus_minimal.errors import CheckpointError, InputError
from janus_minimal.figures.film import Film
from janus_minimal.jobs.request import Request
from janus_minimal.loading.hub import VAE_FILES
from janus_minimal.loading.latents import read_about, read_latents, write_latents
from janus_minimal.pipeline import image_noise
from janus_minimal.runtime import checks
from janus_minimal.solvers import SOLVERS

SHAPE = (4, 12, 12)


def seeds(*numbers):
    return [torch.Generator().manual_seed(number) for number in numbers]


@pytest.fixture
def asked(monkeypatch):
    """A solver that takes one step without a network, and remembers what it was called with."""
    calls = []

    def solver(model, prompt, z, times, weight):
        calls.append(SimpleNamespace(model=model, prompt=prompt, z=z, times=times, weight=weight))
        v = torch.ones_like(z)
        yield Step(0, times[0], times[-1], z, v, v, v, 0.5 * z)

    monkeypatch.setitem(SOLVERS, "spy", solver)
    return solver, calls


def test_a_call_without_options_is_the_official_one(pipe, asked):
    """pipe(text) = 30 uniform steps, w = 2, one picture, PIL, from torch's global generator.

    These are JanusFlow's settings. A default that changed would change every picture that is drawn without options.
    """
    solver, calls = asked
    torch.manual_seed(4)
    images = pipe("a star", solver=solver).images
    torch.manual_seed(4)
    own = torch.Generator().manual_seed(torch.randint(2**62, (1,)).item())
    (call,) = calls
    torch.testing.assert_close(call.times, torch.linspace(0, 1, 31))
    assert call.weight == 2.0
    assert torch.equal(call.z[0], torch.randn(SHAPE, generator=own))
    assert [type(image) for image in images] == [Image.Image]
    assert signature(pipe.__call__).parameters["solver"].default is denoise
    assert signature(pipe.__call__).parameters["progress"].default is True


@pytest.mark.parametrize("weight", [0, 0.0, 1, 3.5, -1.0])
def test_a_guidance_scale_wins_even_if_it_is_zero(pipe, asked, weight):
    """pipe(guidance_scale = w, cfg_weight = 7)  =>  w, for w = 0 too; without it, cfg_weight = w reaches the loop.

    0 is false in Python. Code that asks "is a scale given?" by its truth draws w = 0 with the default.
    """
    solver, calls = asked
    options = {"num_inference_steps": 2, "solver": solver, "progress": False, "output_type": "latent"}
    pipe("a star", guidance_scale=weight, cfg_weight=7.0, **options)
    pipe("a star", cfg_weight=weight, **options)
    assert [call.weight for call in calls] == [weight, weight]


def test_a_weight_of_zero_is_the_unconditional_velocity(model):
    """w = 0  =>  v = v_uncond, w = 1  =>  v = v_cond, w = 3  =>  3 v_cond - 2 v_uncond.

    At zero the prompt is ignored.
    """
    a, b = normal(0, 1, 2), normal(1, 1, 2)
    assert torch.equal(guide(a, b, 0), b)
    assert torch.equal(guide(a, b, 1), a)
    torch.testing.assert_close(guide(a, b, 3), 3 * a - 2 * b)


def test_images_of_a_prompt_stand_together_and_each_has_its_generator(pipe, asked):
    """pipe([p, q], k = 2): rows p p q q, and image i starts from generator i.

    With another order, pictures would be returned under the captions of others.
    """
    solver, calls = asked
    options = {"num_images_per_prompt": 2, "generator": seeds(1, 2, 3, 4), "output_type": "latent", "progress": False}
    found = pipe(["a star", "two red circles"], 3, solver=solver, **options).images
    (call,) = calls
    names = [pipe.tokenizer.convert_ids_to_tokens(row)[-2] for row in call.prompt.batch().ids[:4]]
    assert names == ["star", "star", "circles", "circles"]
    expected = torch.stack([torch.randn(SHAPE, generator=own) for own in seeds(1, 2, 3, 4)])
    assert torch.equal(call.z, expected)
    assert torch.equal(found, 0.5 * expected)
    assert len(call.times) == 4


def test_a_used_generator_goes_on(pipe, asked):
    """noise(generators, used before) = what they draw next, for a list as well as for one.

    A generator whose seed were set back would draw the same picture again and again.
    """
    own, again = seeds(1, 2), seeds(1, 2)
    first, second = image_noise(SHAPE, 2, own), image_noise(SHAPE, 2, own)
    for i, generator in enumerate(again):
        assert torch.equal(first[i], torch.randn(SHAPE, generator=generator))
        assert torch.equal(second[i], torch.randn(SHAPE, generator=generator))
    one = torch.Generator().manual_seed(3)
    numbers = torch.randint(2**62, (3,), generator=torch.Generator().manual_seed(3)).tolist()
    expected = torch.stack([torch.randn(SHAPE, generator=g) for g in seeds(*numbers)])
    assert torch.equal(image_noise(SHAPE, 3, one), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_latents_of_any_dtype_are_float32_in_the_loop(pipe, asked, dtype):
    """pipe(latents) starts from latents.float(), and from nothing else.

    The loop adds small steps, which low precision would lose.
    """
    solver, calls = asked
    z = normal(0, 1, *SHAPE, dtype=torch.float64).to(dtype)
    (own,) = seeds(1)
    before = own.get_state()
    pipe("a star", 2, latents=z, generator=own, solver=solver, output_type="latent", progress=False)
    assert torch.equal(calls[0].z, z.float())
    assert torch.equal(own.get_state(), before)  # nothing was drawn from it


@pytest.mark.parametrize("mode", [True, False])
def test_the_callers_gradient_mode_and_the_models_mode_stay(pipe, asked, mode):
    """gradient mode after the call = before; in the callback none; training(model) = training(VAE) = False.

    A pipeline that switched gradients off for good would stop a training loop that draws samples.
    """
    solver, _ = asked
    inside = []
    look = lambda *_: inside.append(torch.is_grad_enabled()) or {}  # noqa: E731
    with torch.set_grad_enabled(mode):
        pipe("a star", 2, solver=solver, callback_on_step_end=look, progress=False)
        assert torch.is_grad_enabled() == mode
    assert inside == [False]
    assert not pipe.model.training
    assert not pipe.vae.training


def test_a_callback_that_needed_a_gradient_leaves_none_behind(pipe, asked):
    """callback = {"latents": x}, where x has a gradient  =>  the latents are x, without one.

    Guidance by a gradient returns such latents. Each step would keep the graph of all steps before it.
    """
    x = normal(0, 1, *SHAPE).requires_grad_()
    options = {"solver": asked[0], "output_type": "latent", "progress": False}
    found = pipe("a star", 1, callback_on_step_end=lambda *_: {"latents": x}, **options).images
    assert found.equal(x)
    assert not found.requires_grad


def test_output_types_are_the_same_pixels(pipe):
    """pt [B, 3, H, W] = np [B, H, W, 3] = PIL / 255, in 0..1; latents beyond any picture are clamped.

    diffusers' names for the four kinds of results. Latents of any dtype are decoded in the VAE's own.
    """
    z = 4 * normal(0, 2, *SHAPE)
    pt, array, pil = (pipe.to_pictures(z, kind) for kind in ("pt", "np", "pil"))
    with torch.no_grad():
        raw = pipe.vae.decode(z / pipe.vae.config.scaling_factor).sample
    assert raw.abs().max() > 1
    torch.testing.assert_close(pt, ((raw + 1) / 2).clamp(0, 1))
    assert pipe.to_pictures(z.double(), "pt").equal(pt)
    assert not pt.requires_grad
    torch.testing.assert_close(pt.permute(0, 2, 3, 1), torch.from_numpy(array))
    for image, pixels in zip(pil, array, strict=True):
        assert np.abs(np.asarray(image) / 255 - pixels).max() <= 0.51 / 255
    assert torch.equal(
        pipe("a star", 1, latents=z[:1], times=torch.tensor([0.0, 0.0]), output_type="latent").images, z[:1]
    )


def test_every_picture_is_checked_not_only_the_first(pipe, tmp_path):
    """a pixel, or a latent in a file, that is not finite  =>  InputError, whichever picture it is in.

    The picture would be a plain colour, and the reason could not be seen in it.
    """
    z = normal(0, 3, *SHAPE)
    for i in range(3):
        wrong = z.clone()
        wrong[i, 3, 11, 11] = torch.inf
        with pytest.raises(InputError, match="not finite"):
            pipe.to_pictures(wrong)
        write_latents(tmp_path / "z.safetensors", wrong)
        with pytest.raises(InputError, match="not finite"):
            read_latents(tmp_path / "z.safetensors", 4)
        stop = lambda pipe, k, t, told, wrong=wrong: {"latents": wrong}  # noqa: E731
        with pytest.raises(InputError, match="after step 0 the latent is not finite"):
            pipe("a star", 1, num_images_per_prompt=3, latents=z, callback_on_step_end=stop, progress=False)


def test_latents_in_a_file_are_the_latents(unchecked, tmp_path):
    """read(write(z)) = z, for views, any number of images, a path or its name, and the channels that are asked for.

    They are stored as the loop leaves them, not divided by the scaling factor, with the words about them. Whole numbers
    are no latents.
    """
    z = normal(0, 4, 12, 12, 3).permute(3, 0, 1, 2)
    for path in (tmp_path / "z.safetensors", str(tmp_path / "y.safetensors")):
        write_latents(path, z, {"seed": "3"})
        assert torch.equal(read_latents(path, 4), z)
        assert read_about(path) == {"seed": "3"}
    with pytest.raises(InputError, match=r"expected \[images, 16, height, width\]"):
        read_latents(tmp_path / "z.safetensors", 16)
    write_latents(tmp_path / "z.safetensors", z.long())
    with pytest.raises(InputError, match=r"holds \[3, 4, 12, 12\], torch\.int64: expected"):
        read_latents(tmp_path / "z.safetensors", 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_latents_stay_as_they_were_read(unchecked, tmp_path, dtype):
    """read(file of z) = z, in the dtype of the file, also after the file was written over.

    A file is mapped into memory. Whoever draws the next latents into it must not change the ones that are shown.
    """
    path, z = tmp_path / "z.safetensors", normal(0, 2, *SHAPE).to(dtype)
    write_latents(path, z)
    found = read_latents(path, 4)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert found.dtype == dtype
    assert found.equal(z)


def test_the_bar_is_shown_unless_it_is_not_wanted(pipe, asked, capsys):
    """progress = True  =>  a bar of S steps on standard error; False  =>  nothing.

    Thirty steps of the released model take minutes on a CPU, so the bar is the default.
    """
    solver, _ = asked
    pipe("a star", 7, solver=solver, output_type="latent")
    shown = capsys.readouterr().err
    assert "/7 " in shown
    assert "step/s" in shown or "s/step" in shown
    pipe("a star", 7, solver=solver, output_type="latent", progress=False)
    assert capsys.readouterr().err == ""


def test_a_film_keeps_what_each_step_predicts_and_shows_eight_of_them(pipe):
    """film: t_k and z_k + (1 - t_k) v_k of every step; developed: steps 0 4 8 12 17 21 25 29 of 30, a row an image.

    The first and the last step are among them, and the film changes nothing.
    """
    film, z = Film(), normal(0, 2, *SHAPE)
    options = {"num_images_per_prompt": 2, "latents": z, "output_type": "latent", "progress": False}
    found = pipe("a star", 3, callback_on_step_end=film, **options).images
    steps = list(denoise(pipe.model, PromptPair.from_text("a star", pipe.tokenizer, 2), z, time_grid(3)))
    assert torch.equal(found, steps[-1].z_next)
    for k, step in enumerate(steps):
        assert film.times[k] == pytest.approx(k / 3)
        torch.testing.assert_close(film.denoised[k], step.z + (1 - k / 3) * step.v)
    long = Film([k / 30 for k in range(30)], [torch.full((2, *SHAPE), k / 30) for k in range(30)])
    times, rows = long.develop(pipe)
    chosen = [0, 4, 8, 12, 17, 21, 25, 29]
    assert times == [k / 30 for k in chosen]
    assert [len(row) for row in rows] == [8, 8]
    for i in range(2):
        for column, k in enumerate(chosen):
            assert rows[i][column].tobytes() == pipe.to_pictures(long.denoised[k])[i].tobytes()


def test_a_film_shows_its_last_run_and_refuses_to_show_none(pipe, asked):
    """film(run 1, run 2) = film(run 2), whatever the numbers of images; film() of no run  =>  InputError.

    The steps of two runs in one film would be two paths that look like one.
    """
    film, options = Film(), {"solver": asked[0], "output_type": "latent", "progress": False}
    with pytest.raises(InputError, match="the film is empty: expected a run"):
        film.develop(pipe)
    for images in (1, 2):
        pipe("a star", num_images_per_prompt=images, callback_on_step_end=film, **options)
        times, rows = film.develop(pipe)
        assert times == [0.0]
        assert len(rows) == images


@pytest.mark.parametrize("steps", [1, 2, 7, 8, 9, 30, 33, 50, 100, 999])
def test_a_film_is_shown_from_the_first_step_to_the_last(pipe, monkeypatch, steps):
    """times of a developed film: those of min(S, 8) different steps, rising, from step 0 to step S - 1.

    A strip is read from left to right. With its columns in another order, noise would come back.
    """
    monkeypatch.setattr(pipe, "to_pictures", lambda z: ())
    times, _ = Film([k / steps for k in range(steps)], [torch.zeros(1, *SHAPE)] * steps).develop(pipe)
    assert times == sorted(set(times))
    assert (len(times), times[0], times[-1]) == (min(steps, 8), 0, (steps - 1) / steps)


def test_a_request_reaches_the_pipeline_whole(pipe, asked):
    """Request(...).draw: prompt, shifted times, weight, solver, k images of the seeds s, s + 1, ..., latents.

    Image i can be drawn again alone, with seed s + i.
    """
    _, calls = asked
    request = Request("two stars", steps=5, cfg_weight=3.5, num_images=3, seed=11, solver="spy", shift=2.5)
    told = []
    found = request.draw(pipe, lambda *told_now: told.append(told_now[1:3]) or {}, progress=False)
    (call,) = calls
    torch.testing.assert_close(call.times, torch.tensor([k / (k + 2.5 * (5 - k)) for k in range(6)]))
    assert call.weight == 3.5
    assert torch.equal(call.z, torch.stack([torch.randn(SHAPE, generator=own) for own in seeds(11, 12, 13)]))
    assert torch.equal(found, 0.5 * call.z)
    assert pipe.tokenizer.convert_ids_to_tokens(call.prompt.rows.ids[0])[2:4] == ["two", "stars"]
    assert told == [(0, 0.0)]


WAYS = {
    "draw": lambda request, pipe: request.draw(pipe, progress=False),
    "walk": lambda request, pipe: next(request.walk(pipe)),
    "edit": lambda request, pipe: request.edit(pipe, normal(0, 1, *SHAPE), torch.ones(1, 1, 12, 12) > 0, 1.0),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_request_is_checked_in_whatever_way_it_is_drawn(unchecked, pipe, way):
    """draw, walk and edit of a seed, a solver, or with a model, that cannot be used  =>  InputError, by all three.

    torch takes a seed below 0, and gives the noise of another one.
    """
    for wrong, reason in (({"seed": -1}, "the seed is -1"), ({"solver": "rk45"}, "solver is 'rk45'")):
        with pytest.raises(InputError, match=reason):
            way(Request("a star", **{"steps": 1, "num_images": 1, **wrong}), pipe)
    noisy = copy(pipe)
    noisy.model = deepcopy(pipe.model)
    noisy.model.add_module("dropout", torch.nn.Dropout(0.5))
    with pytest.raises(InputError, match=r"has dropout and is in training mode: expected model\.eval"):
        way(Request("a star", steps=1, num_images=1), noisy)


def test_a_request_without_settings_is_the_official_one():
    """Request(prompt): 30 steps, w = 2, 4 images, seed 0, Euler, no shift; one line of JSON names them all.

    The line is stored in the pictures of an album, so that each can be drawn again.
    """
    assert Request("a star") == Request("a star", 30, 2.0, 4, 0, "euler", 1.0)
    text = '{"prompt": "ein Übel", "steps": 30, "cfg_weight": 2.0, "num_images": 4, "seed": 0, '
    assert str(Request("ein Übel")).startswith(text + '"solver": "euler", "shift": 1.0')


@pytest.fixture
def found_in(monkeypatch):
    """Remember for what the pipeline's loader asks, and find the bundled checkpoint for each name."""
    names, find = [], module.find_checkpoint
    monkeypatch.setattr(
        module, "find_checkpoint", lambda *a, **k: names.append((a, k)) or find("shapes", **k) / a[0].partition("/")[2]
    )
    return names


def test_every_argument_of_from_pretrained_reaches_its_loader(found_in, monkeypatch):
    """from_pretrained(checkpoint, vae, dtype, device, revision, compile): each reaches the part that it names.

    The VAE stays float32 whatever the dtype, and the revision is the model's.
    """
    compiled = []
    monkeypatch.setattr(module, "compile_stages", compiled.append)
    pipe = JanusFlowPipeline.from_pretrained("mine/", "his/vae", torch.bfloat16, "cpu", "v7", True)
    assert found_in == [(("mine/", "v7"), {}), (("his/vae",), {"files": VAE_FILES})]
    assert (pipe.model.dtype, pipe.vae.dtype) == (torch.bfloat16, torch.float32)
    assert compiled == [pipe.model]
    plain = JanusFlowPipeline.from_pretrained()
    assert (plain.model.dtype, plain.model.device.type) == (torch.float32, "cpu")
    assert len(compiled) == 1
    assert not any(part.training for part in (pipe.model, pipe.vae))


def test_a_model_is_loaded_from_the_revision_that_is_asked_for(monkeypatch):
    """JanusFlow.from_pretrained(name, revision): both are looked for; without a revision, the newest one.

    The weights of another commit may be those of another model.
    """
    asked, find = [], module.find_checkpoint
    monkeypatch.setattr("janus_minimal.model.find_checkpoint", lambda *given: asked.append(given) or find("shapes"))
    for options in ({"revision": "v7"}, {}):
        JanusFlow.from_pretrained("owner/name", **options)
    assert asked == [("owner/name", "v7"), ("owner/name", None)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_pipeline_moves_with_all_its_parts(dtype):
    """pipe.to(device) = pipe, with model and VAE on the device, and each in the dtype that it had.

    A VAE that was left behind would fail after the last step. In 16 bits, SDXL's overflows and the picture is black.
    The meta device stands in for a GPU.
    """
    pipe = JanusFlowPipeline.from_pretrained("shapes", dtype=dtype)
    assert pipe.latent_shape == SHAPE
    assert pipe.to("meta") is pipe
    assert {p.device.type for part in (pipe.model, pipe.vae) for p in part.parameters()} == {"meta"}
    assert pipe.model.device.type == "meta"
    assert (pipe.model.dtype, pipe.vae.dtype) == (dtype, torch.float32)


@pytest.mark.parametrize("part", ["", "vision_gen_enc_aligner", "vision_gen_dec_model"])
def test_a_model_without_numbers_draws_saves_and_moves_nothing(tmp_path, part):
    """on the meta device, all of it or a part: a call, save_pretrained and a move back  =>  InputError, and no file.

    Such a model has shapes alone. torch says so from inside a layer, or after the whole loop.
    """
    pipe = JanusFlowPipeline.from_pretrained("shapes")
    pipe.model.get_submodule(part).to("meta")
    for use in (
        lambda: pipe("a star", progress=False),
        lambda: pipe.model.save_pretrained(tmp_path),
        lambda: pipe.to("cpu"),
    ):
        with pytest.raises(InputError, match="on the meta device, which keeps no numbers: expected"):
            use()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("which", [0, -1])
def test_a_model_that_would_draw_with_dropout_is_refused(asked, which):
    """training mode and a dropout > 0, of any part  =>  InputError before the first step; one of the two alone draws.

    Dropout acts in training mode only. One seed would then give another picture each time.
    """
    pipe, (solver, calls) = JanusFlowPipeline.from_pretrained("shapes"), asked
    options = {"solver": solver, "progress": False, "output_type": "latent"}
    dropouts = [part for part in pipe.model.modules() if isinstance(part, torch.nn.Dropout)]
    pipe.model.train()
    pipe("a star", **options)
    dropouts[which].p = 0.5
    with pytest.raises(InputError, match=r"has dropout and is in training mode: expected model\.eval\(\)"):
        pipe("a star", **options)
    pipe.model.eval()
    pipe("a star", **options)
    dropouts[which].train()
    with pytest.raises(InputError, match="has dropout"):
        pipe("a star", **options)
    assert len(calls) == 2


def test_a_prompt_may_fill_every_position_and_no_more():
    """L + 1 + N <= max_position_embeddings: with 100 positions and 36 image tokens, L = 63 fits and 64 does not.

    The limit is counted with the time token. Where the image alone fills it, the checkpoint is at fault.
    """
    config = JanusConfig(language=LanguageConfig(max_position_embeddings=100))
    checks.fits_positions(config, 63, 36)
    with pytest.raises(InputError, match="the prompt has 64 tokens, with the image 101: expected at most 63"):
        checks.fits_positions(config, 64, 36)
    for image_tokens in (99, 100, 10**9):  # no prompt is short enough
        with pytest.raises(CheckpointError, match=f"expected more than the image's {image_tokens + 1} tokens"):
            checks.fits_positions(config, 1, image_tokens)


def test_every_token_is_one_of_the_models():
    """id < vocab_size in every row: with 100 words, 99 is taken and 100 is not, not even in the last row.

    An id beyond the embedding table fails in step one, or on a GPU in a page about assertions.
    """
    config = JanusConfig(language=LanguageConfig(vocab_size=100))
    checks.fits_vocabulary(config, torch.tensor([[1, 99], [99, 1]]))
    with pytest.raises(CheckpointError, match="the tokenizer makes the token 100, the model knows 100"):
        checks.fits_vocabulary(config, torch.tensor([[1, 2], [100, 2]]))


def test_a_vae_must_make_the_latents_that_the_model_takes():
    """channels(VAE) = channels(model), image_size a multiple of pixels per latent and stride.

    384 pixels, 8 to a latent, 2 latents to a patch: a multiple of 16. The first convolution must fit into the latent.
    """
    checks.fits_vae(JanusConfig(image_size=384), 4, 8)
    checks.fits_vae(JanusConfig(image_size=400), 4, 8)
    with pytest.raises(CheckpointError, match="expected a multiple of 16"):
        checks.fits_vae(JanusConfig(image_size=392), 4, 8)
    narrow = JanusConfig(encoder=EncoderConfig(kernel_size=4, padding=1), image_size=16)  # a latent of 2 x 2
    with pytest.raises(CheckpointError, match="image_size is 16"):
        checks.fits_vae(narrow, 4, 8)
    with pytest.raises(CheckpointError, match="the VAE has 16 latent channels, the model takes 4"):
        checks.fits_vae(JanusConfig(), 16, 8)


@pytest.mark.parametrize("number", [1, 7, np.int64(3)])
def test_whole_numbers_of_any_kind_are_taken_up_to_the_limit(number):
    """1 <= n <= most, whole: n as an int; also numpy's; and both ends.

    The limits: a million steps, a hundred thousand images.
    """
    assert checks.whole_number("n", number, 7) == int(number)
    assert type(checks.whole_number("n", number, 7)) is int
    with pytest.raises(InputError, match="from 1 to 7"):
        checks.whole_number("n", 8, 7)
    assert (checks.MOST_STEPS, checks.MOST_IMAGES) == (1_000_000, 100_000)


def test_a_loaded_model_is_ready_to_draw(model, half):
    """training = False in every module; dtype as asked for; every number is there, those that no file holds too.

    A model in training mode would draw with dropout. The model is made on the meta device, which keeps no numbers.
    """
    assert not any(part.training for part in (*model.modules(), *half.modules()))
    assert not any(x.is_meta for x in (*model.parameters(), *model.buffers()))
    assert isinstance(model, JanusFlow)
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}


def part(config) -> torch.nn.Module:
    """A network of no weights."""
    empty = torch.nn.Module()
    empty.config = config
    return empty


def vae_of(levels: int, channels: int = 4) -> torch.nn.Module:
    """What a pipeline asks of a VAE before it decodes anything."""
    return part(SimpleNamespace(latent_channels=channels, block_out_channels=(1,) * levels))


def test_a_pipeline_is_not_made_of_parts_that_do_not_fit(unchecked):
    """JanusFlowPipeline(model, VAE of 16 channels) or (image_size that divides into no patches)  =>  CheckpointError.

    Otherwise the last step fails, or the picture has another size.
    """
    with pytest.raises(CheckpointError, match="the VAE has 16 latent channels, the model takes 4"):
        JanusFlowPipeline(part(JanusConfig()), vae_of(4, 16), None)
    with pytest.raises(CheckpointError, match="expected a multiple of 16"):
        JanusFlowPipeline(part(JanusConfig(image_size=392)), vae_of(4), None)


@pytest.mark.parametrize(("levels", "side"), [(1, 384), (3, 96), (4, 48), (5, 24)])
def test_the_side_of_a_latent_is_that_of_the_picture_over_two_to_the_levels(unchecked, pipe, levels, side):
    """latent_shape = (c, H, W) with H = W = 384 / 2^(levels - 1): 48 for SDXL's VAE, which has four levels.

    The bundled VAE shrinks by 4, the released one by 8.
    """
    pipe = JanusFlowPipeline(part(JanusConfig()), vae_of(levels), pipe.tokenizer)
    assert pipe.latent_shape == (4, side, side)


def test_the_tokens_of_a_prompt_are_checked_against_its_own_model(unchecked, pipe):
    """prompt_pair: id < vocab_size, and L + 1 + (side / stride)^2 <= positions, of this model.

    With stride 4 a latent of 12 x 12 has 9 image tokens, so "a red circle" fits into 20 positions. With stride 2 it has
    36, and does not. The tokenizer is that of another model here, of more words than ten.
    """
    here, config = copy(pipe), pipe.model.config

    def ask(**changes):
        here.model = SimpleNamespace(config=replace(config, **changes), device=torch.device("cpu"))
        return here.prompt_pair("a red circle").num_images

    short = replace(config.language, max_position_embeddings=20)
    wide = replace(config.encoder, stride=4, kernel_size=4, padding=0)
    assert ask(language=short, encoder=wide, decoder=replace(config.decoder, upsamples=2)) == 1
    with pytest.raises(CheckpointError, match="expected more than the image's 37 tokens"):
        ask(language=short)
    with pytest.raises(CheckpointError, match=r"the tokenizer makes the token .*, the model knows 10"):
        ask(language=replace(config.language, vocab_size=10))


def test_model_and_vae_are_loaded_to_the_device_that_is_asked_for(monkeypatch):
    """from_pretrained(device): all numbers of the model and of the VAE are there; a wrong device costs no download.

    The meta device stands in for a GPU. A table that stayed on the CPU would be copied to it in each step.
    """
    monkeypatch.setattr(module, "pick_device", lambda name: torch.device("meta"))
    pipe = JanusFlowPipeline.from_pretrained("shapes", device="some GPU")
    held = [x for part in (pipe.model, pipe.vae) for x in (*part.parameters(), *part.buffers())]
    assert {x.device.type for x in held} == {"meta"}
    monkeypatch.undo()
    monkeypatch.setattr(module, "find_checkpoint", lambda *_: pytest.fail("the checkpoint was fetched"))
    monkeypatch.setattr("janus_minimal.model.find_checkpoint", module.find_checkpoint)
    for kind in (JanusFlowPipeline, JanusFlow):
        with pytest.raises(InputError, match="there is no device"):
            kind.from_pretrained("owner/name", device="warp")


def test_the_seeds_of_the_noise_are_drawn_where_the_generator_lives(surroundings):
    """noise(one generator on the CPU, or torch's own) is the same under any default device of torch.

    The seeds of the images are drawn from it. On another device than its own, torch raises an error.
    """

    def draw():
        torch.manual_seed(6)
        return image_noise(SHAPE, 2, torch.Generator().manual_seed(5)), image_noise(SHAPE, 2)

    expected = draw()
    surroundings(torch.float32, "meta")
    for found, right in zip(draw(), expected, strict=True):
        assert found.device.type == "cpu"
        assert found.equal(right)


def test_latents_without_a_note_or_without_a_place_are_known(unchecked, tmp_path):
    """about(a file without metadata) = {}; latents of 0 images or 0 places  =>  InputError, which says "no image".

    Other programs write no notes. A tensor of no numbers is finite, and decodes to nothing.
    """
    path = tmp_path / "z.safetensors"
    save_file({"latents": normal(0, 1, *SHAPE)}, path)
    assert read_about(path) == {}
    for shape in ((0, *SHAPE), (1, 4, 0, 0)):
        write_latents(path, torch.zeros(shape))
        with pytest.raises(InputError, match="holds no image"):
            read_latents(path, 4)


@pytest.mark.parametrize("times", [time_grid(4).double(), time_grid(4).bfloat16(), torch.tensor([0, 0.5, 1]).half()])
def test_times_of_any_dtype_are_float32_in_the_loop(pipe, asked, times):
    """pipe(times of any dtype of fractions): the solver gets the same numbers in float32.

    NumPy's times are float64. In bfloat16, times that are computed from them would be an eighth of a step off.
    """
    solver, calls = asked
    pipe("a star", times=times, solver=solver, output_type="latent", progress=False)
    assert calls[0].times.dtype == torch.float32
    assert calls[0].times.tolist() == times.tolist()


def test_a_callback_may_return_all_that_it_was_given(pipe, asked):
    """callback(...) = the dictionary that it got  =>  nothing changes; another name in it  =>  InputError.

    Callbacks in diffusers' style return all that they were given.
    """
    solver, calls = asked
    options = {"solver": solver, "output_type": "latent", "progress": False}
    found = pipe("a star", callback_on_step_end=lambda pipe, k, t, told: told, **options).images
    assert torch.equal(found, 0.5 * calls[0].z)
    with pytest.raises(InputError, match="callback_on_step_end returned"):
        pipe("a star", callback_on_step_end=lambda pipe, k, t, told: told | {"latent": told["latents"]}, **options)


@pytest.mark.parametrize("value", [np.float32(2.5), np.float64(2.5), np.int64(2), Fraction(5, 2), 2, 2.5])
def test_numbers_of_any_kind_are_taken_as_weights(value):
    """finite_number(x of any kind of real number) = float(x), a number of Python's.

    A slider gives NumPy's numbers, and a Fraction in the loop would end it.
    """
    found = checks.finite_number("the weight", value)
    assert (type(found), found) == (float, float(value))


def test_prompts_and_generators_may_be_any_sequence(pipe, asked):
    """pipe((p, q), generator=(g, h)) = pipe([p, q], generator=[g, h]).

    The annotations say Sequence, and a function with *prompts gets a tuple.
    """
    solver, calls = asked
    options = {"solver": solver, "output_type": "latent", "progress": False}
    found = [
        pipe(kind(("a star", "two stars")), generator=kind(seeds(1, 2)), **options).images for kind in (tuple, list)
    ]
    assert torch.equal(*found)
    assert [len(call.z) for call in calls] == [2, 2]


@pytest.mark.parametrize(
    "times", [torch.full((30,), 1 / 30).cumsum(0), torch.arange(31) * (1 / 30), torch.tensor([0, 1.0000001])]
)
def test_times_that_rounding_moved_beyond_one_are_taken(times):
    """times whose last one is 1 up to rounding  =>  taken; from -0.01 or to 1.01  =>  InputError.

    A sum of 30 steps of 1/30 may end at 1.0000001. Beyond that, no time was ever shown in training.
    """
    assert checks.time_grid_of(times).equal(times)
    for beyond in (times - 0.05, times + 0.01):
        with pytest.raises(InputError, match="times should be rising, from 0"):
            checks.time_grid_of(beyond)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (31, 1), (1, 31)])
def test_times_of_another_shape_are_one_line(pipe, asked, shape):
    """times that are no list of at least two  =>  InputError, before the solver is asked.

    A column of times would be taken for steps of several times each.
    """
    with pytest.raises(InputError, match="times should be a tensor of at least two fractions"):
        checks.time_grid_of(torch.zeros(shape))


def test_the_limits_of_a_request_are_those_of_the_help(pipe):
    """shift from 0.01 to 100 and seeds from 0 to 2^62 are taken, and nothing beyond them.

    The command line offers these ranges, and Python takes the same.
    """
    for shift in (0.01, 100.0):
        assert len(checks.shifted_grid(8, shift)) == 9
    for beyond in (0.00999, 100.01):
        with pytest.raises(InputError, match="the shift is"):
            checks.shifted_grid(8, beyond)
    for seed in (0, 2**62):
        Request("a star", seed=seed, num_images=1).check(pipe)
    for beyond in (-1, 2**62 + 1):
        with pytest.raises(InputError, match="the seed is"):
            Request("a star", seed=beyond, num_images=1).check(pipe)
