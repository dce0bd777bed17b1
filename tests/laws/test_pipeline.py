"""Text in, pictures out."""

import json
import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from janus_minimal import JanusFlow, JanusFlowPipeline, PromptPair, denoise, time_grid
from janus_minimal.errors import CheckpointError, InputError
from janus_minimal.pipeline import image_noise
from janus_minimal.solvers import SOLVERS


def seeds(*numbers):
    return [torch.Generator().manual_seed(number) for number in numbers]


def latents(pipe, *arguments, **options):
    return pipe(*arguments, num_inference_steps=3, output_type="latent", progress=False, **options).images


def test_the_same_seed_gives_the_same_picture_in_any_batch(pipe):
    """picture(batch)[i] = picture(caption_i, seed_i).

    Image i depends neither on its neighbours nor on where it stands.
    """
    captions = ["a red circle", "a blue square above a yellow star", "two crosses"]
    together = latents(pipe, captions, generator=seeds(1, 2, 3))
    for i, caption in enumerate(captions):
        alone = latents(pipe, caption, generator=seeds(i + 1))
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-4)
    backwards = latents(pipe, captions[::-1], generator=seeds(3, 2, 1))
    torch.testing.assert_close(backwards.flip(0), together, rtol=0, atol=1e-4)


def test_noise_of_image_i_does_not_depend_on_the_number_of_images():
    """noise(B)[i] = noise(B')[i] for i < B, B'; noise_i != noise_j.

    One generator gives each image a seed of its own, in turn.
    """
    few, many = (image_noise((4, 12, 12), n, torch.Generator().manual_seed(5)) for n in (2, 5))
    assert torch.equal(few, many[:2])
    assert not torch.equal(many[0], many[1])


def test_the_pipeline_is_the_loop(pipe):
    """pipe(prompt, z_0) = z_S of denoise(prompt, z_0).

    The pipeline adds text, noise and pixels to the loop, and no arithmetic.
    """
    z = image_noise(pipe.latent_shape, 1, seeds(7))
    prompt = PromptPair.from_text("a green circle", pipe.tokenizer)
    *_, last = denoise(pipe.model, prompt, z, time_grid(3), 2.5)
    assert torch.equal(latents(pipe, "a green circle", latents=z, cfg_weight=2.5), last.z_next)


def test_guidance_scale_is_another_name_for_the_weight(pipe):
    """pipe(guidance_scale = w) = pipe(cfg_weight = w).

    The name that diffusers' users know.
    """
    a = latents(pipe, "a star", generator=seeds(1), guidance_scale=3.0)
    b = latents(pipe, "a star", generator=seeds(1), cfg_weight=3.0)
    assert torch.equal(a, b)


def test_a_guidance_scale_of_zero_is_not_a_missing_one(pipe):
    """pipe(guidance_scale = 0) = pipe(cfg_weight = 0).

    0 is a weight like any other: it asks for pictures without the prompt. Python takes it for false.
    """
    a, b = (latents(pipe, "a star", generator=seeds(1), **{name: 0.0}) for name in ("guidance_scale", "cfg_weight"))
    assert torch.equal(a, b)


def test_the_callback_sees_each_step_and_may_change_the_latents(pipe):
    """z_{k+1} := callback(pipe, k, t_k, {latents, t_next, denoised})[latents].

    diffusers' convention: what the callback gives back is where the loop goes on.
    """
    told = []

    def stop_at_zero(given, index, t, tensors):
        told.append((given, index, t))
        return {"latents": torch.zeros_like(tensors["latents"])}

    result = latents(pipe, "a star", generator=seeds(1), callback_on_step_end=stop_at_zero)
    assert told == [(pipe, i, t.item()) for i, t in enumerate(time_grid(3)[:-1])]
    assert not result.any()


def test_pictures_are_decoded_latents_divided_by_the_scaling_factor(pipe):
    """pixels = 127.5 (1 + clamp(vae.decode(z / scaling_factor))).

    Training multiplied the latents by the factor, to unit variance; decoding divides.
    """
    z = latents(pipe, "a star", generator=seeds(1))
    with torch.no_grad():
        decoded = pipe.vae.decode(z / pipe.vae.config.scaling_factor).sample.clamp(-1, 1)
    (picture,) = pipe.to_pictures(z)
    expected = ((decoded[0] + 1) * 127.5).permute(1, 2, 0).numpy()
    assert picture.size == (48, 48)
    assert np.abs(np.asarray(picture) - expected).max() <= 0.51


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_inference_steps": 0},
        {"num_inference_steps": 3.5},
        {"num_inference_steps": "3"},
        {"num_inference_steps": True},
        {"num_inference_steps": 10**10},
        {"cfg_weight": float("nan")},
        {"cfg_weight": "2"},
        {"cfg_weight": True},
        {"cfg_weight": 10**400},
        *({name: 10**5000} for name in ("num_inference_steps", "cfg_weight", "output_type", "solver", "prompt")),
        {"callback_on_step_end": lambda *_: 10**5000},
        {"solver": "heun"},
        *({"guidance_scale": weight} for weight in (float("inf"), float("nan"), "2", True)),
        {"num_images_per_prompt": 0},
        {"num_images_per_prompt": "2"},
        {"num_images_per_prompt": 10**10},
        {"generator": seeds(1, 2)},
        {"generator": [None]},
        {"generator": [*seeds(1), None], "num_images_per_prompt": 2},
        {"generator": 3},
        {"generator": "x"},
        {"latents": [1.0]},
        {"latents": torch.zeros(1, 4, 6, 6)},
        {"latents": torch.zeros(2, 4, 12, 12)},
        *({"latents": torch.zeros(1, 4, 12, 12).to(kind)} for kind in ("meta", torch.complex64, torch.int64)),
        {"latents": torch.zeros(1, 4, 12, 12).to_sparse()},
        {"times": torch.tensor([0.5])},
        {"times": torch.tensor([1.0, 0.5, 0.0])},
        {"times": torch.tensor([0.0, 0.7, 0.5, 1.0])},
        {"times": torch.tensor([0.0, 500.0, 1000.0])},
        {"times": torch.zeros(3, device="meta")},
        {"times": torch.tensor([0.0, float("nan")])},
        {"times": [0.0, 1.0]},
        {"output_type": "pill"},
        {"output_type": np.array(["pil", "np"])},
        {"callback_on_step_end": 3},
        {"callback_on_step_end": lambda *_: None},
        {"callback_on_step_end": lambda *_: "latents"},
        {"callback_on_step_end": lambda *_: {"latents": None}},
        {"callback_on_step_end": lambda *_: {"latent": torch.zeros(1, 4, 12, 12)}},
        {"callback_on_step_end": lambda *_: {"latents": torch.zeros(3)}},
        {"callback_on_step_end": lambda pipe, k, t, told: told | {"t_next": torch.tensor(0.9)}},
        {"callback_on_step_end": lambda pipe, k, t, told: told | {"denoised": None}},
        {"callback_on_step_end": lambda pipe, k, t, told: told.update(denoised=told["latents"]) or told},
        {"solver": lambda *_: iter(())},
        {"solver": lambda model, prompt, z, *_: iter([z])},
        {"solver": lambda *given: iter([next(denoise(*given)), given[2]])},
        {"solver": lambda model, prompt, z, *_: z},
        {"solver": lambda *_: None},
    ],
)
def test_a_wrong_value_is_one_line_that_says_what_would_be_right(unchecked, pipe, wrong):
    """S >= 1, |w| < inf, generators: one or B, latents: [B, c, H, W], ...; else InputError.

    Anything else would end in noise, in a picture that nobody asked for, or in a stack trace of another library. A
    message cannot hold a number of 5,000 digits: Python refuses to write it.
    """
    with pytest.raises(InputError) as error:
        pipe(**{"prompt": "a star", "progress": False, **wrong})
    message = str(error.value)
    assert re.search("expected|should be", message)
    assert "\n" not in message


@pytest.mark.parametrize(
    "wrong",
    [
        *({"device": device} for device in ("warp", "meta", "", None, True, 2.5)),
        *({part: name} for part in ("checkpoint", "vae") for name in (True, 2.5, b"shapes", ["shapes"])),
        {"checkpoint": None},
        {"checkpoint": ""},
        {"vae": ""},
    ],
)
def test_a_pipeline_is_loaded_from_a_name_to_a_device(unchecked, wrong):
    """from_pretrained of something else, or to a device that is not here  =>  InputError.

    A mistyped device would be found after the weights were read, in a page about how torch was built.
    """
    with pytest.raises(InputError, match="expected"):
        JanusFlowPipeline.from_pretrained(**wrong)


@pytest.mark.parametrize("device", ["warp", "", None, torch.float16])
def test_a_pipeline_moves_only_to_a_device_that_is_here(unchecked, pipe, device):
    """pipe.to, and the device of a model that is loaded: one that is here, else InputError.

    In diffusers, `to` may cast as well. Here the VAE is always float32, because SDXL's overflows in float16.
    """
    with pytest.raises(InputError, match=r"there is no device .* here; expected one of: cpu"):
        pipe.to(device)
    with pytest.raises(InputError, match=r"there is no device .* here; expected one of: cpu"):
        JanusFlow.from_pretrained("shapes", device=device)
    assert {part.dtype for part in (pipe.model, pipe.vae)} == {torch.float32}


LATENT = torch.zeros(1, 4, 12, 12)
NO_LATENTS = [None, 3.5, [1.0], LATENT[0], LATENT[:, :3], torch.zeros(2), torch.zeros(1, 4, 0, 12)]
NO_LATENTS += [LATENT.int(), LATENT.bool(), LATENT.cfloat(), LATENT.to_sparse(), LATENT.to("meta")]


@pytest.mark.parametrize("wrong", NO_LATENTS, ids=str)
def test_only_latents_are_decoded(unchecked, pipe, wrong):
    """to_pictures: fractions [B, c, H, W] that are all there, as "pil", "np" or "pt"; else InputError.

    A row of a batch, z[0], is the mistake that is made most often. Of complex numbers a half would be left out.
    """
    right = r"\[images, 4, H, W\]|a torch\.Tensor|dense ones such as torch\.randn"
    with pytest.raises(InputError, match=rf"^latents .*: expected ({right})"):
        pipe.to_pictures(wrong)
    with pytest.raises(InputError, match="output_type"):
        pipe.to_pictures(torch.zeros(1, 4, 12, 12), "pill")


@pytest.mark.parametrize("prompt", [None, 3, ["a star", None], [], b"a star"])
def test_a_prompt_that_is_no_text_is_one_line(unchecked, pipe, prompt):
    """prompt: a text or texts; else InputError, and the generator is where it was.

    None would be tokenised as a word by some tokenizers. Whoever corrects the prompt gets the picture of the seed.
    """
    (own,) = seeds(1)
    before = own.get_state()
    for wrong in (prompt, "a pink star"):
        with pytest.raises(InputError):
            pipe(wrong, generator=own, progress=False)
    assert torch.equal(own.get_state(), before)
    for ask in (pipe, pipe.prompt_pair, lambda prompt: PromptPair.from_text(prompt, pipe.tokenizer)):
        with pytest.raises(InputError, match="expected"):
            ask(prompt)


@pytest.mark.parametrize("number", [0, -1, 1.5, None])
def test_noise_is_of_a_whole_number_of_images(unchecked, number):
    """image_noise(B): B >= 1, whole; else InputError.

    torch stacks no empty list, and says so in words that name neither images nor noise.
    """
    with pytest.raises(InputError, match=r"num_images is .*: expected a whole number from 1"):
        image_noise((4, 12, 12), number)


def no_begin(tokenizer):
    """Return a tokenizer of the same words that puts no token before a text."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str()) | {"post_processor": None}
    names = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(backend)), **names)


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "shapes"},
        {"vae": None},
        *({"tokenizer": other} for other in ("shapes", None, ByT5Tokenizer(), no_begin)),
    ],
)
def test_a_pipeline_is_made_of_a_model_a_vae_and_a_tokenizer(unchecked, pipe, wrong):
    """JanusFlowPipeline(model, vae, tokenizer): two networks and a tokenizer that is checked as a loaded one is.

    A tokenizer without a begin-of-sentence token leaves a word in the unconditional row: other pictures, no error.
    """
    parts = {"model": pipe.model, "vae": pipe.vae, "tokenizer": pipe.tokenizer}
    wrong = {name: part(pipe.tokenizer) if part is no_begin else part for name, part in wrong.items()}
    assert JanusFlowPipeline(**parts).latent_shape == pipe.latent_shape
    with pytest.raises(InputError, match=r"expected|begins no text"):
        JanusFlowPipeline(**parts | wrong)


def test_a_prompt_longer_than_the_model_has_positions_is_refused(pipe):
    """L + 1 + N <= max_position_embeddings, else InputError.

    Positions that training never saw give a picture, and not the one that was asked for.
    """
    with pytest.raises(InputError, match=r"expected at most 475 prompt tokens"):
        pipe("red " * 600, progress=False)


@pytest.mark.parametrize("wrong", [{"cfg_weight": 1e30}, {"latents": torch.full((1, 4, 12, 12), 1e37)}])
def test_a_latent_that_is_not_finite_stops_the_run(pipe, wrong):
    """|z_k| = inf or NaN  =>  InputError that names the step.

    A picture of NaN is a plain colour, and the reason cannot be seen in it.
    """
    with pytest.raises(InputError, match="is not finite"):
        pipe("a star", 6, progress=False, generator=seeds(1), **wrong)


def test_times_replace_the_number_of_steps(pipe):
    """pipe(times) = the loop over these times, whatever num_inference_steps says.

    A schedule is data: shifted grids, and grids that begin later, need no option of their own.
    """
    times, z = time_grid(4, shift=2.0)[1:], image_noise(pipe.latent_shape, 1, seeds(7))
    prompt = PromptPair.from_text("a star", pipe.tokenizer)
    *_, last = denoise(pipe.model, prompt, z, times)
    for steps in (30, 1, 0):
        found = pipe("a star", steps, latents=z, times=times, output_type="latent", progress=False).images
        assert torch.equal(found, last.z_next)


@pytest.mark.parametrize("solver", SOLVERS.values())
def test_any_solver_can_draw(pipe, solver):
    """pipe(solver) = z_S of solver(prompt, z_0, times, w).

    Solvers are siblings: the pipeline does not know which one it calls.
    """
    z = image_noise(pipe.latent_shape, 1, seeds(7))
    prompt = PromptPair.from_text("a star", pipe.tokenizer)
    *_, last = solver(pipe.model, prompt, z, time_grid(3), 2.5)
    assert torch.equal(latents(pipe, "a star", latents=z, cfg_weight=2.5, solver=solver), last.z_next)


@pytest.mark.parametrize("wrong", [3, 0, [], ""])
def test_a_callback_that_is_no_function_is_refused_before_the_first_step(pipe, wrong):
    """callback_on_step_end = 3, 0 or []  =>  InputError, and the solver is never asked.

    A step of the released model takes seconds, and the mistake was plain before it.
    """

    def solver(*_):
        pytest.fail("a step was begun")

    with pytest.raises(InputError, match=r"callback_on_step_end is .*: expected a function"):
        pipe("a star", 1, solver=solver, callback_on_step_end=wrong, progress=False)


def test_the_callback_is_told_the_time_of_the_latents(pipe):
    """callback(..., {"t_next"}) = t_{k+1}, the time of "latents"; its t is t_k.

    A callback that mixes known latents in must mix them at t_{k+1}.
    """
    told = []
    latents(pipe, "a star", callback_on_step_end=lambda p, i, t, x: told.append((t, x["t_next"].item())) or {})
    times = time_grid(3).tolist()
    assert told == list(pairwise(times))


def test_a_callback_may_steer_a_single_step(pipe):
    """answer({"latents"}) at step 1 alone  =>  step 2 begins there, step 1 began as ever.

    An empty answer changes nothing.
    """
    seen = []

    def steer(pipe, index, t, tensors):
        seen.append(tensors["latents"].clone())
        return {"latents": torch.zeros_like(tensors["latents"])} if index == 1 else {}

    result = latents(pipe, "a star", generator=seeds(1), callback_on_step_end=steer)
    plain = latents(pipe, "a star", generator=seeds(1))
    assert torch.equal(seen[0], latents(pipe, "a star", generator=seeds(1), times=time_grid(3)[:2]))
    assert not torch.equal(result, plain)
    assert torch.equal(result, latents(pipe, "a star", latents=torch.zeros(1, 4, 12, 12), times=time_grid(3)[2:]))


def test_a_generator_goes_on_where_it_was(pipe):
    """two calls with one generator = different noise; a new generator of the same seed = the same noise.

    A generator is state: whoever passes it on continues its stream.
    """
    own = torch.Generator().manual_seed(3)
    first, second = (image_noise((4, 12, 12), 1, own) for _ in range(2))
    again = torch.Generator().manual_seed(3)
    assert not torch.equal(first, second)
    assert torch.equal(torch.cat([first, second]), torch.cat([image_noise((4, 12, 12), 1, again) for _ in range(2)]))


def test_noise_is_torchs_own_of_the_generator():
    """noise = randn(c, H, W; generator), in float32 on the CPU.

    The same numbers as torch and diffusers draw from this generator.
    """
    noise = image_noise((4, 12, 12), 1, seeds(5))
    assert torch.equal(noise[0], torch.randn(4, 12, 12, generator=torch.Generator().manual_seed(5)))
    assert (noise.dtype, noise.device.type) == (torch.float32, "cpu")


@pytest.mark.skipif(not torch.accelerator.is_available(), reason="needs a second device")
def test_generators_of_another_device_are_taken():
    """noise(generator on the device) = randn on that device, moved to the CPU.

    Users of diffusers pass generators of their GPU.
    """
    device = torch.accelerator.current_accelerator()
    own = torch.Generator(device).manual_seed(5)
    again = torch.Generator(device).manual_seed(5)
    assert torch.equal(
        image_noise((4, 12, 12), 1, [own])[0], torch.randn(4, 12, 12, generator=again, device=device).cpu()
    )
    assert image_noise((4, 12, 12), 2, torch.Generator(device).manual_seed(5)).shape == (2, 4, 12, 12)


def test_noise_is_drawn_where_the_generator_lives(monkeypatch):
    """randn_tensor(shape, generator, device = generator.device, dtype = float32), for each image.

    Asked for on another device than its generator's, torch raises an error.
    """
    asked = []

    def spy(shape, generator, device, dtype):
        asked.append((generator, device))
        return torch.zeros(shape, dtype=dtype)

    monkeypatch.setattr("janus_minimal.pipeline.randn_tensor", spy)
    own = seeds(1, 2)
    image_noise((4, 2, 2), 2, own)
    assert asked == [(generator, generator.device) for generator in own]


def test_a_vae_that_is_not_there_is_named(tmp_path):
    """no config.json  =>  CheckpointError.

    The VAE has a directory of its own, and it is named.
    """
    with pytest.raises(CheckpointError, match=r"config.json is missing"):
        JanusFlowPipeline.from_pretrained("shapes", vae=tmp_path)
