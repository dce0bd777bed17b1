"""The small world's VAE: what its loss is, what it learns from, and how its latents are scaled."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from unittest.mock import DEFAULT, MagicMock, Mock

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL
from tools.drawn import normal
from tools.processes import OneOfTwo

from janus_minimal import JanusFlowPipeline
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.shapes.caption import CATEGORIES
from janus_minimal.shapes.evaluate import fresh_captions
from janus_minimal.shapes.examples import SmallWorld
from janus_minimal.shapes.render import render
from janus_minimal.shapes.scene import Thing
from janus_minimal.shapes.vae import draw_scenes, encode_scenes, pictures
from janus_minimal.solvers import adams_bashforth
from janus_minimal.training import run
from janus_minimal.training import vae as trainer
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.small import VAE_RECIPE, build_vae
from janus_minimal.training.vae import Reconstruction, calibrate, train_vae


@pytest.fixture(scope="module")
def losses(tmp_path_factory) -> dict[str, list]:
    """Three steps of training: the losses, what the network was given and answered, and the trained network."""
    seen = {"inputs": [], "outputs": []}

    def see(module, inputs, output):
        if isinstance(module, Reconstruction):
            seen["inputs"].append(inputs)
            seen["outputs"].append(output)

    hook = torch.nn.modules.module.register_module_forward_hook(see)
    patch = pytest.MonkeyPatch()
    patch.setattr(trainer, "CALIBRATED", 2)
    recipe = Recipe(steps=3, batch_size=6, learning_rate=1e-3, warmup=1, seed=7)
    told = []
    path = tmp_path_factory.mktemp("vae") / "state.safetensors"
    draw = SmallWorld(1, seed=0).draw
    vae = train_vae(build_vae, draw, path, Accelerator(cpu=True), lambda network, values: told.extend(values), recipe)
    patch.undo()
    hook.remove()
    return seen | {"losses": told, "vae": vae}


def test_the_loss_is_the_absolute_error_and_a_thousandth_of_the_divergence(losses):
    """loss = mean |x' - x| + 0.001 KL, with x the pictures of the step's own scenes.

    More weight on the divergence blurs the edges, and less leaves latents that the flow cannot fill in.
    """
    for k, loss in enumerate(losses["losses"]):
        x, noise = losses["inputs"][k]
        reconstruction, kl = losses["outputs"][k]
        scenes = draw_scenes(6, (7, 0, k))
        torch.testing.assert_close(
            x, torch.stack([torch.tensor(render(s)).permute(2, 0, 1) for s in scenes]) / 127.5 - 1
        )
        assert noise.shape == (6, 4, 12, 12)
        assert loss == pytest.approx(((reconstruction - x).abs().mean() + 0.001 * kl).item(), rel=1e-5)


def test_every_step_of_the_vae_has_scenes_and_noise_of_its_own(losses):
    """x(k) != x(k + 1), noise(k) != noise(k + 1); noise ~ N(0, 1).

    With the same noise at every step, the decoder would memorise it.
    """
    (x_0, e_0), (x_1, e_1), _ = losses["inputs"]
    assert not x_0.equal(x_1)
    assert not e_0.equal(e_1)
    assert e_0.std().item() == pytest.approx(1, abs=0.05)
    assert e_0.mean().item() == pytest.approx(0, abs=0.05)


@pytest.fixture
def given(monkeypatch, tmp_path):
    """What the network is given in the first steps of a seed: pictures and noise of each, without any training."""

    def given(
        seed: int, accelerator: Accelerator, steps: int = 1, build: Callable[[], AutoencoderKL] = build_vae
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        seen = []

        class Witness(torch.nn.Module):
            def forward(self, x, noise):
                seen.append((x, noise))
                return x, x.mean()

        def fit(network, loss, *_):
            fast = torch.channels_last
            assert network.vae.encoder.conv_in.weight.is_contiguous(memory_format=fast)  # a fifth faster on a CPU
            for step in range(steps):
                loss(Witness(), step)
            return network

        monkeypatch.setattr(trainer, "fit", fit)
        monkeypatch.setattr(trainer, "CALIBRATED", 1)
        recipe = Recipe(steps=steps, batch_size=6, learning_rate=1e-3, seed=seed)
        draw = SmallWorld(1, seed=0).draw
        train_vae(build, draw, tmp_path / "state", accelerator, lambda *_: None, recipe)
        return seen

    return given


def test_no_two_steps_of_two_seeds_give_the_vae_the_same_noise(given):
    """noise(k, seed) and pictures(k, seed) are others for every pair of k and seed.

    Two runs with two seeds are to show how much chance decides. With a noise that they share they show less of it.
    """
    found = [pair for seed in range(3) for pair in given(seed, Accelerator(cpu=True), steps=3)]
    assert len({noise.sum().item() for _, noise in found}) == len({x.sum().item() for x, _ in found}) == 9


def test_the_vae_is_given_the_share_of_its_process(given):
    """x, noise(process 1 of 2) = every second of those of one process.

    Two processes that both take the whole batch do the same work twice, and their losses look as they should.
    """
    (whole,), (share,) = given(0, Accelerator(cpu=True)), given(0, OneOfTwo(cpu=True))
    assert all(part.equal(of[1::2]) for part, of in zip(share, whole, strict=True))


def test_the_noise_has_the_shape_of_the_vaes_own_latents(given):
    """noise: [b, latent channels, side / pixels of a latent value, ...] of the network that is built.

    Broadcast from another shape, one noise would be added to all channels, and nothing would say so.
    """

    def build():
        torch.manual_seed(0)
        down, up = ("DownEncoderBlock2D",) * 2, ("UpDecoderBlock2D",) * 2
        return AutoencoderKL(3, 3, down, up, (8, 8), latent_channels=1, norm_num_groups=4)

    ((_, noise),) = given(0, Accelerator(cpu=True), build=build)
    assert noise.shape == (6, 1, 24, 24)


def test_pictures_go_to_the_vae_and_latents_come_back(unchecked, given):
    """train_vae, encode, calibrate, draw_reconstructions give the VAE what lies on its device; latents are on the CPU.

    The meta device stands in for a GPU. A folder's latents are all kept, so they must not fill it. But for training,
    nothing is kept for gradients: 1,000 pictures' activations would need gigabytes.
    """
    device = torch.device("meta")
    there = Mock(spec=Accelerator, process_index=0, num_processes=1, device=device)
    ((x, noise),) = given(0, there)
    assert (x.device, noise.device) == (device, device)
    vae, latents, asked = Mock(device=device), MagicMock(), []
    vae.encode.side_effect = lambda x: asked.append((x.device, torch.is_grad_enabled())) or DEFAULT
    vae.encode.return_value.latent_dist.mean = latents
    latents.std.return_value.item.return_value = 2.0
    assert trainer.encode(vae, normal(0, 1, 3, 8, 8)) is (latents * 1).cpu.return_value.contiguous.return_value
    calibrate(vae, normal(0, 1, 3, 8, 8))
    vae.decode.side_effect = InterruptedError
    with pytest.raises(InterruptedError):
        run.draw_reconstructions(vae, normal(0, 1, 3, 8, 8))
    assert asked == [(device, False)] * 3


def test_a_reconstruction_is_decoded_from_mean_and_std_times_noise(pipe):
    """x' = decode(mean + std noise), KL = mean of (mean^2 + std^2 - 1 - ln std^2) / 2 over all numbers of the latent.

    The divergence is per number, so that its weight does not depend on the size of the latent.
    """
    network, x = Reconstruction(pipe.vae), pictures(draw_scenes(3, (1,)))
    noise = 5 * normal(0, 3, 4, 12, 12)
    with torch.no_grad():
        posterior = pipe.vae.encode(x).latent_dist
        mean, std = posterior.mean, posterior.std
        reconstruction, kl = network(x, noise)
        expected = pipe.vae.decode(mean + std * noise).sample
    torch.testing.assert_close(reconstruction, expected)
    assert kl.item() == pytest.approx(((mean**2 + std**2 - 1 - 2 * std.log()) / 2).mean().item(), rel=1e-4)


def test_a_trained_vae_is_in_evaluation_mode_and_another_than_it_was(losses):
    """training(vae) = False; the weights have moved; report gets the averaged network.

    A VAE in training mode would draw other pictures where it has dropout.
    """
    assert not losses["vae"].training
    torch.manual_seed(7)
    before = build_vae().state_dict()
    after = losses["vae"].state_dict()
    assert all(not before[key].equal(after[key]) for key in before if key.endswith("conv1.weight"))
    moved = max((before[key] - after[key]).abs().max() for key in before)
    assert moved < 0.05  # three small steps away from what seed 7 gives


def test_the_scaling_factor_is_one_over_the_deviation_of_many_scenes(pipe, tmp_path, monkeypatch):
    """scaling_factor = 1 / std(means of 1,000 scenes of all categories), not of samples and not of the variance.

    The number of scenes is made smaller here. The factor of the VAE that is given plays no part. The scenes are the
    same for every seed, so that two runs differ by what they have learned.
    """
    asked = []

    def draw(number, seed):
        asked.append((number, seed))
        return pictures(draw_scenes(min(number, 8), seed))

    recipe = Recipe(steps=1, batch_size=2, learning_rate=0.0, seed=5)
    state = tmp_path / "state.safetensors"
    vae = train_vae(lambda: copied(pipe.vae), draw, state, Accelerator(cpu=True), lambda *_: None, recipe)
    with torch.no_grad():
        means = vae.encode(pictures(draw_scenes(8, (0, 1)))).latent_dist.mean
    assert asked == [(2, (5, 0, 0)), (1000, (0, 1))]
    assert vae.config.scaling_factor == pytest.approx(1 / means.std().item(), rel=1e-5)
    assert calibrate(vae, pictures(draw_scenes(8, (0, 1)))) is vae
    torch.testing.assert_close(encode_scenes(vae, draw_scenes(8, (0, 1))), means / means.std(), rtol=1e-4, atol=1e-4)


def copied(vae: AutoencoderKL) -> AutoencoderKL:
    """Return a network with the same weights, and the scaling factor that diffusers gives it."""
    built = build_vae()
    built.load_state_dict(vae.state_dict())
    return built


def test_the_network_and_its_recipe_are_those_of_the_bundled_vae():
    """config(build_vae()) = the bundled config.json but for its scaling factor; 2,500 steps of 32 at 2e-3, EMA 0.99.

    The file was written by the run that trained it.
    """
    stored = json.loads((BUNDLED / "shapes" / "vae" / "config.json").read_text())
    built = dict(build_vae().config)
    for name in set(stored) - {"scaling_factor", "_diffusers_version", "_class_name"}:
        found = built[name]
        assert (list(found) if isinstance(found, (tuple, list)) else found) == stored[name], name
    assert Recipe(2500, 32, 0.002, 0.01, 100, 0.99, 250, 0) == VAE_RECIPE


def test_pictures_for_the_vae_run_from_minus_one_to_one():
    """pictures(scene) = rgb / 127.5 - 1, channels first, y before x.

    A picture that is turned by exchanging x and y would be learned without a complaint.
    """
    scene = (Thing("red", "square", 10.0, 38.0, 12.0),)  # on the left, below
    x = pictures([scene, ()])
    assert x.shape == (2, 3, 48, 48)
    torch.testing.assert_close(x[0, :, 38, 10], torch.tensor([208, 40, 44]) / 127.5 - 1, check_dtype=False)
    torch.testing.assert_close(x[1, :, 38, 10], torch.tensor([246, 244, 238]) / 127.5 - 1, check_dtype=False)


def test_scenes_for_the_vae_are_of_all_categories_in_turn():
    """draw_scenes(n, seed): n scenes, categories in turn, the same for the same seed, others for another.

    A VAE that has never seen four things would blur them.
    """
    scenes = draw_scenes(9, (3,))
    assert draw_scenes(2, (3,)) == scenes[:2] != draw_scenes(2, (4,))
    assert [len(scenes[i]) for i in (0, 1, 3, 4, 5, 6, 7)] == [1, 2, 1, 2, 2, 1, 2]
    assert min(len(scenes[2]), len(scenes[8])) >= 2


def test_scenes_for_the_vae_show_many_captions_and_places():
    """draw_scenes(60): more than 40 different sets of coloured things, of which each category has several.

    A VAE that is shown one caption of each category learns six pictures, in other places. With another seed, that of
    another step, the first scene has other places too.
    """
    first = [thing for seed in range(9) for thing in draw_scenes(1, (seed,))[0]]
    assert len({thing.x for thing in first}) == len({thing.size for thing in first}) == 9
    shown = {tuple(sorted((thing.colour, thing.shape) for thing in scene)) for scene in draw_scenes(60, (0,))}
    assert len(shown) > 40


def test_every_latent_is_the_scaled_mean(pipe):
    """encode_scenes(scenes) = scaling_factor mean, for every scene of the batch, on the CPU.

    A sample would add noise to the data, and the flow would learn the noise.
    """
    scenes = draw_scenes(3, (5,))
    found = encode_scenes(pipe.vae, scenes)
    theirs = AutoencoderKL.from_pretrained(BUNDLED / "shapes" / "vae")
    factor = json.loads((BUNDLED / "shapes" / "vae" / "config.json").read_text())["scaling_factor"]
    with torch.no_grad():
        for scene, latent in zip(scenes, found, strict=True):
            x = torch.tensor(render(scene)).permute(2, 0, 1)[None] / 127.5 - 1
            torch.testing.assert_close(latent, factor * theirs.encode(x).latent_dist.mean[0], rtol=1e-3, atol=1e-4)
    assert found.is_contiguous()
    assert not found.requires_grad


def test_the_samples_of_a_run_show_four_captions_of_each_category():
    """samples = 7 rows of 4 pictures, one row a category, from the same captions and noise at every save.

    Saves can be compared only if nothing but the weights changes.
    """
    asked = []

    class Pipe(JanusFlowPipeline):
        def __init__(self):
            """Without a model."""

        def __call__(self, captions, steps, weight, generator, solver, progress):
            asked.append((captions, steps, weight, generator.initial_seed(), solver, progress))
            shown = [np.full((48, 48, 3), i, np.uint8) for i in range(len(captions))]
            return SimpleNamespace(images=[run.Image.fromarray(picture) for picture in shown])

    shown = SmallWorld(1, seed=0).shown
    first, second = run.draw_samples(Pipe(), shown), run.draw_samples(Pipe(), shown)
    assert asked[0] == asked[1]
    captions, *settings = asked[0]
    assert captions == [str(c) for category in CATEGORIES for c in fresh_captions(category, 4, seed=1)]
    assert settings == [12, 2.0, 0, adams_bashforth, False]
    assert first.size == (4 * 200 + 8, 7 * 200 + 8)
    assert first.tobytes() == second.tobytes()
    assert np.asarray(first)[-20, -20].tolist() == [27] * 3


def test_reconstructions_stand_below_their_scenes(pipe):
    """sheet: six scenes, and each one's reconstruction below it, decoded from the mean.

    So the eye can compare without searching.
    """
    shown = SmallWorld(1, seed=0).draw(6, (0, 4))
    sheet, again = (np.asarray(run.draw_reconstructions(pipe.vae, shown)).astype(float) for _ in range(2))
    assert np.array_equal(sheet, again)
    assert sheet.shape == (2 * 200 + 8, 6 * 200 + 8, 3)
    upper, lower = sheet[8:200], sheet[208:400]
    for i, scene in enumerate(draw_scenes(6, (0, 4))):
        place = slice(8 + 200 * i, 200 + 200 * i)
        drawn = render(scene).repeat(4, 0).repeat(4, 1)
        assert np.abs(upper[:, place] - drawn).max() <= 1
        assert 0 < np.abs(lower[:, place] - drawn).mean() < 5
