"""Text in, pictures out, by the conventions of diffusers.

The problem. The loop takes token ids and noise and gives a latent. People have a sentence and want
a picture. This file adds what lies between, and no arithmetic of its own:

    text --tokenizer--> prompt pair --denoise, from noise--> latent --VAE--> picture

Noise deserves care. Each image has its own random generator, and its noise is drawn on the CPU in
float32, unless a generator of another device is passed. So image i starts from the same noise
whether it is drawn alone or in a batch, on a GPU or not, in any dtype of the weights, and the
picture is the same up to rounding. Code that draws the noise of a whole batch at once loses this.

The scale of the latents deserves care, too. The loop starts at noise of variance 1, and the flow
was trained on latents of about variance 1. Those of SDXL's VAE have a standard deviation of about
7.7, so training multiplied them by the scaling factor, 0.13025. Before decoding they are divided by
it.

    P  prompts      k  images of each      B = P k  images: those of the first prompt, then the next
    c H W  latent (4 48 48)

Sources: official demo/app_janusflow.py; diffusers' pipelines, for the names of the arguments;
JanusFlow (arXiv 2411.07975), section 4, whose results use w = 2 and S = 30, the defaults here.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from diffusers import AutoencoderKL
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float, Float32
from torch import Generator, Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase

from janus_minimal.flow import time_grid
from janus_minimal.loading.hub import VAE_FILES, find_checkpoint, find_part
from janus_minimal.loading.pretrained import read_tokenizer
from janus_minimal.loading.tokenizer import check_tokenizer
from janus_minimal.loading.vae import check_centred, load_vae, pixels_per_latent, to_pictures
from janus_minimal.model import JanusFlow
from janus_minimal.prompt import PromptPair
from janus_minimal.runtime import checks
from janus_minimal.runtime.compile import compile_stages
from janus_minimal.runtime.device import known_device, pick_device
from janus_minimal.runtime.precision import without_autocast
from janus_minimal.sampling import Step, denoise

Callback = Callable[["JanusFlowPipeline", int, float, dict[str, Any]], dict[str, Any]]
Solver = Callable[..., Iterator[Step]]
OutputType = Literal["pil", "np", "pt", "latent"]


class JanusFlowPipeline:
    """A model, its tokenizer and its VAE: everything between a caption and its pictures.

    It behaves as diffusers' pipelines do: `from_pretrained`, `to`, and a call that returns an
    object with the attribute `images`. It is not a subclass of DiffusionPipeline, whose loading
    accepts files and code that we refuse.

    >>> pipe = JanusFlowPipeline.from_pretrained("shapes")
    >>> pipe.latent_shape  # c H W
    (4, 12, 12)
    >>> seed = torch.manual_seed(0)
    >>> drawn = pipe("three red stars", 2, num_images_per_prompt=4, generator=seed, progress=False)
    >>> [image.size for image in drawn.images]  # two steps show the form; a picture takes more
    [(48, 48), (48, 48), (48, 48), (48, 48)]

    Everything that can be wrong in a call is checked before the first step, because thirty steps of
    the released model take minutes on a CPU.

    What is checked at construction: that the VAE makes latents of the model's channels, that it is
    not one that shifts them, that the model's picture divides into whole patches, and that the
    tokenizer makes prompts of the official form. What no check can see: a VAE of the same form with
    other weights. The flow has learned where the latents of its own VAE lie, so the pictures of
    another one are garbled.
    """

    def __init__(
        self, model: JanusFlow, vae: AutoencoderKL, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        checks.networks(model=model, vae=vae)
        checks.fits_vae(model.config, vae.config.latent_channels, pixels_per_latent(vae))
        check_centred(vae)
        check_tokenizer(tokenizer, model.config.language.vocab_size)
        self.model, self.vae, self.tokenizer = model, vae, tokenizer

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | Path = "shapes",
        vae: str | Path | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        revision: str | None = None,
        compile: bool = False,
    ) -> "JanusFlowPipeline":
        """Load model, tokenizer and VAE, each from a directory or a repository of the hub.

        Args:
            checkpoint: "shapes" (bundled), a directory in the official layout, or "owner/name".
            vae: the VAE's directory or repository. None means the folder `vae` of the checkpoint.
                The official checkpoint has no VAE: its own is SDXL's, "stabilityai/sdxl-vae".
            dtype: of the model's weights. The VAE is always float32: in float16, SDXL's VAE
                overflows and the picture is black.
            device: where model and VAE are placed. `runtime.device.pick_device()` returns the
                machine's accelerator. The command line asks it; in Python you pass its answer.
            revision: a branch, tag or commit of the model's repository.
            compile: compile the five stages. The first step then takes a minute or more, and later
                steps are faster.

        Raises:
            InputError: if there is no such device.
            CheckpointError: for anything that does not fit; the message names it.
        """
        device = pick_device(str(device))  # first: a device that is not there costs no download
        directory = find_checkpoint(checkpoint, revision)
        model = JanusFlow.from_pretrained(directory, dtype, device)
        own_vae = find_part(directory, "vae")
        vae_directory = own_vae if vae is None else find_checkpoint(vae, files=VAE_FILES)
        vocabulary = find_part(directory, "tokenizer.json")
        tokenizer = read_tokenizer(vocabulary.parent)
        pipe = cls(model, load_vae(vae_directory, device), tokenizer)
        if compile:
            compile_stages(model)
        return pipe

    def to(self, device: torch.device | str) -> "JanusFlowPipeline":
        """Move model and VAE to a device. Return the pipeline itself.

        The dtype of the weights is chosen when they are loaded, and the VAE's is always float32.

        Raises:
            InputError: if there is no such device, or if the weights are on the meta device
                already, which keeps none of their numbers.
        """
        place = known_device(device)
        checks.have_numbers(self.model.parameters())
        self.model.to(place)
        self.vae.to(place)
        return self

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        num_inference_steps: int = 30,
        cfg_weight: float = 2.0,
        guidance_scale: float | None = None,
        num_images_per_prompt: int = 1,
        generator: Generator | Sequence[Generator] | None = None,
        latents: Float[Tensor, "B c H W"] | None = None,
        times: Float[Tensor, "times"] | None = None,
        solver: Solver = denoise,
        output_type: OutputType = "pil",
        callback_on_step_end: Callback | None = None,
        progress: bool = True,
    ) -> ImagePipelineOutput:
        """Draw one or several prompts. The pictures are the attribute `images` of what is returned.

        Args:
            prompt: one text or several.
            num_inference_steps: S, with times k / S. Ignored if `times` is given.
            cfg_weight: the guidance weight w. 1 means no guidance, 0 means no prompt.
            guidance_scale: diffusers' name for cfg_weight. It wins if both are given.
            num_images_per_prompt: k.
            generator: one for each image, or one from which a seed for each image is drawn. None
                uses torch's global generator.
            latents: start from these, in place of noise: [B, c, H, W].
            times: the time grid, for example time_grid(10, shift=2.0), or times[k:] to begin later.
            solver: denoise, or another generator of Steps with the same first five arguments.
            output_type: "pil", "np" (B H W 3, 0..1), "pt" (B 3 H W, 0..1), or "latent", which skips
                the VAE: 9216 numbers a picture in the released model, to be decoded elsewhere.
            callback_on_step_end: called as callback(pipe, index, t, tensors) after each step, where
                t is the time at which the step began. tensors has "latents" (of the time t_next),
                "t_next", and "denoised". It returns a dictionary; "latents" in it replace ours, and
                nothing else can be changed.
            progress: show a progress bar.

        Raises:
            InputError: for a value that cannot be used, if a latent becomes infinite or NaN, and
                for a model that has no weights, or dropout that acts.
        """
        checks.ready_to_draw(self.model)
        checks.one_of("output_type", output_type, get_args(OutputType))
        checks.function_of("solver", solver)
        if callback_on_step_end is not None:
            checks.function_of("callback_on_step_end", callback_on_step_end)
        # Compared with None, because 0 is a valid scale and counts as false in Python.
        weight = cfg_weight if guidance_scale is None else guidance_scale
        weight = checks.finite_number("the guidance weight", weight)
        grid = self._times(num_inference_steps, times)
        pair = self.prompt_pair(prompt, num_images_per_prompt)
        z = self._start(latents, pair.num_images, generator)
        with without_autocast(self.model.device):
            steps = solver(self.model, pair, z.to(self.model.device), grid, weight)
            steps = checks.steps_of(steps, Step)
            for step in tqdm(steps, total=len(grid) - 1, unit="step", disable=not progress):
                # The solver goes on from step.z_next when the loop asks for the next step, so a
                # latent that the callback has put there is the one from which it continues.
                z = self._end_of(step, callback_on_step_end)
        images = z if output_type == "latent" else self.to_pictures(z, output_type)
        return ImagePipelineOutput(images=images)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Return (c, H, W) of one image.

        The VAE halves each side once per level but the last. SDXL's has four levels, so 384 pixels
        become 384 / 2^3 = 48. The bundled model has 48 pixels and three levels: 48 / 2^2 = 12.

        Why the size is no argument of the call: the network would accept another one. But it knows
        the place of a patch only by its number in raster order, and with 32 patches in a row
        instead of 24 the same number is another place.
        """
        side = self.model.config.image_size // pixels_per_latent(self.vae)
        return self.model.config.encoder.input_channels, side, side

    def prompt_pair(self, prompt: str | Sequence[str], num_images: int = 1) -> PromptPair:
        """Return the prompt pair of one or several texts, on the model's device.

        Prompt, time token and image tokens must fit the positions that the language model was
        trained on. Beyond them it still computes something, but not a picture of the prompt. And
        each token must be one of the language model's, whatever else a tokenizer may produce.

        Raises:
            InputError: for a prompt that is empty, unknown to the tokenizer or too long, and for a
                number of images that is no whole number from 1.
            CheckpointError: for a token that is not in the language model's word table.
        """
        number = checks.whole_number("num_images_per_prompt", num_images, checks.MOST_IMAGES)
        pair = PromptPair.from_text(prompt, self.tokenizer, number)
        tokens = (self.latent_shape[1] // self.model.config.encoder.stride) ** 2
        checks.fits_positions(self.model.config, pair.rows.ids.shape[1], tokens)
        checks.fits_vocabulary(self.model.config, pair.rows.ids)
        return pair.to(self.model.device)

    def to_pictures(self, latents: Float[Tensor, "B c H W"], output_type: str = "pil") -> Any:
        """Decode latents with the VAE, to "pil", "np" or "pt".

        Films need this: every step's `denoised` can be decoded, not only the last latent. It
        divides by the VAE's scaling factor, with which training multiplied to reach unit variance.
        Without the division the latents would be far too small for the decoder in the released
        model, 0.13 of their size.
        """
        return to_pictures(self.vae, latents, output_type)

    def _times(self, steps: int, times: Tensor | None) -> Float32[Tensor, "times"]:
        """Return the grid that is given, or the uniform one of the official sampler.

        A given grid need not reach from 0 to 1: image-to-image begins later. Its times become
        float32, in which the loop counts.
        """
        if times is not None:
            return checks.time_grid_of(times)
        return time_grid(checks.whole_number("num_inference_steps", steps, checks.MOST_STEPS))

    def _start(
        self,
        latents: Tensor | None,
        num_images: int,
        generator: Generator | Sequence[Generator] | None,
    ) -> Float32[Tensor, "B c H W"]:
        """Return the latent at the first time: noise, or what the caller gives.

        A caller gives latents to repeat a run exactly, or to begin with a noisy picture of their
        own (image-to-image). They are float32 from here on, whatever they were before.

        Their shape must be exact. The network would take another height and width without an
        error, and draw nothing that it has learned.
        """
        if latents is None:
            return image_noise(self.latent_shape, num_images, generator)
        return checks.latents_of(latents, (num_images, *self.latent_shape))

    def _end_of(self, step: Step, callback: Callback | None) -> Float32[Tensor, "B c H W"]:
        """Let the callback see and change where the step ends. Refuse NaN and infinity.

        Why at every step and not once at the end: NaN never goes away again, so all later steps
        would be lost time. And the message can name the step at which it began.
        """
        if callback is not None:
            tensors = {"latents": step.z_next, "t_next": step.t_next, "denoised": step.denoised}
            answer = callback(self, step.index, step.t.item(), dict(tensors))
            answer = checks.steered(answer, tensors)
            step.z_next = checks.latents_of(answer.get("latents", step.z_next), step.z.shape)
        checks.finite_latents(step.index, step.z_next)
        return step.z_next


def image_noise(
    shape: Sequence[int],
    num_images: int,
    generator: Generator | Sequence[Generator] | None = None,
) -> Float32[Tensor, "B c H W"]:
    """Draw standard normal noise on the CPU in float32, each image's from its own generator.

    A generator that lives on another device draws there; the noise is moved to the CPU. Numbers of
    the same seed differ between kinds of devices, which is why the CPU is the default.

    Why float32, also for a bfloat16 model: the latent is float32 through the whole loop, so the
    weights' dtype can be changed without changing the noise from which a picture starts.

    >>> first_of_one = image_noise((4, 48, 48), 1, torch.manual_seed(0))[0]
    >>> first_of_three = image_noise((4, 48, 48), 3, torch.manual_seed(0))[0]
    >>> torch.equal(first_of_one, first_of_three)  # image 0 does not know how many follow
    True

    Raises:
        InputError: if there are several generators, but not one for each image, or for a number of
            images that is no whole number from 1.
    """
    num_images = checks.whole_number("num_images", num_images, checks.MOST_IMAGES)
    generators = checks.generators_of(_one_per_image(generator, num_images), num_images)
    # The dtype is said, because torch's default is the caller's.
    noise = [randn_tensor(shape, own, own.device, torch.float32).cpu() for own in generators]
    return torch.stack(noise)


def _one_per_image(
    generator: Generator | Sequence[Generator] | None, num_images: int
) -> Sequence[Generator]:
    """Return the generators that are given, or new ones with seeds from the one that is given.

    Why not one generator for all images in turn: then image 3 would depend on how much noise was
    drawn before it. With a seed for each image, its noise depends on its number alone.

    So one generator of seed 7 and a list of one generator of seed 7 give different noise: a seed is
    drawn from the first, the noise itself from the second.
    """
    if not isinstance(generator, Generator | None):
        return generator  # several; anything else is refused by whoever looks at each
    device = "cpu" if generator is None else generator.device
    seeds = torch.randint(2**62, (num_images,), generator=generator, device=device).tolist()
    return [Generator(device).manual_seed(seed) for seed in seeds]
