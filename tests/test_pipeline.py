"""Text in, pictures out."""

import numpy as np
import pytest
import torch

from janus_minimal import JanusFlowPipeline, PromptPair, denoise, time_grid
from janus_minimal.errors import CheckpointError, InputError
from janus_minimal.pipeline import image_noise


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


def test_the_callback_sees_each_step_and_may_change_the_latents(pipe):
    """z_{k+1} := callback(pipe, k, t_k, {latents, guess})[latents].

    diffusers' convention: what the callback gives back is where the loop goes on.
    """
    told = []

    def stop_at_zero(pipe, index, t, tensors):
        told.append((index, t))
        return {"latents": torch.zeros_like(tensors["latents"])}

    result = latents(pipe, "a star", generator=seeds(1), callback_on_step_end=stop_at_zero)
    assert told == [(i, t.item()) for i, t in enumerate(time_grid(3)[:-1])]
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
        {"cfg_weight": float("nan")},
        {"generator": seeds(1, 2)},
        {"latents": torch.zeros(1, 4, 6, 6)},
    ],
)
def test_a_wrong_number_is_one_line_that_says_what_would_be_right(pipe, wrong):
    """S >= 1, |w| < inf, generators: one or B, latents: [B, c, H, W]; else InputError.

    Anything else would end in noise, or in somebody else's stack trace.
    """
    with pytest.raises(InputError, match="right would be"):
        pipe("a star", progress=False, **wrong)


def test_a_vae_that_is_not_there_is_named(tmp_path):
    """no config.json  =>  CheckpointError.

    The VAE has a directory of its own, and it is named.
    """
    with pytest.raises(CheckpointError, match=r"config.json is missing"):
        JanusFlowPipeline.from_pretrained("shapes", vae=tmp_path)
