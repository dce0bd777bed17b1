"""The bench: it counts the operations that PyTorch counts, and it times the loop itself."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tools.drawn import SEEDS
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from janus_minimal.bench.cost import ideal_ratio, image_tokens, step_cost
from janus_minimal.bench.sizes import SDXL_VAE, middle, sized
from janus_minimal.bench.subject import Subject
from janus_minimal.cli import app
from janus_minimal.config import DecoderConfig, EncoderConfig, JanusConfig, LanguageConfig
from janus_minimal.flow import time_grid
from janus_minimal.model import JanusFlow
from janus_minimal.prompt import PromptPair
from janus_minimal.sampling import denoise


def model_of(
    channels: int, heads: int, kept: int, layers: int, upsamples: int, blocks: bool, overlap: int
) -> JanusFlow:
    width = 16 * heads
    shared = {"block_out_channels": (channels,), "hidden_size": width, "layers_in_middle": layers}
    shared["use_mid_block"] = blocks
    language = LanguageConfig(50, width, 3 * width, layers, heads, kept)
    encoder = EncoderConfig(**shared, stride=2**upsamples, kernel_size=2**upsamples + overlap)
    decoder = DecoderConfig(**shared, in_channels=channels, upsamples=upsamples)
    return JanusFlow(JanusConfig(encoder, decoder, language)).eval()


@given(
    channels=st.sampled_from([8, 12]),
    heads=st.sampled_from([(2, 2), (4, 2), (4, 1)]),
    layers=st.integers(1, 2),
    upsamples=st.integers(1, 2),
    images=st.integers(1, 3),
    tokens=st.integers(2, 6),
    cached=st.booleans(),
    blocks=st.booleans(),
    overlap=st.integers(0, 1),
)
def test_the_formulas_count_what_torch_counts(
    channels, heads, layers, upsamples, images, tokens, cached, blocks, overlap
):
    """sum of step_cost = operations that FlopCounterMode sees in one step, with and without blocks, for any patches.

    A multiplication with its addition counts as two. Attention is counted in full, not only its causal half. Patches
    that overlap have a larger kernel and a border.
    """
    model = model_of(channels, *heads, layers, upsamples, blocks, overlap)
    prompt = PromptPair.from_ids([torch.arange(tokens + 1)], images)
    steps = denoise(model, prompt, torch.zeros(images, 4, 8, 8), time_grid(2), use_cache=cached)
    next(steps)  # the first step also fills the cache
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        next(steps)
    assert sum(step_cost(model.config, 8, images, tokens, cached).values()) == counter.get_total_flops()


@given(images=st.integers(1, 4), tokens=st.integers(1, 500), size=st.sampled_from(["small", "middle", "released"]))
def test_the_cache_saves_what_the_formula_says(images, tokens, size):
    """cost(no cache) / cost(cache) = (L + 1 + N) / (1 + N) in the language model.

    Each of its matrix products has one row for each token that is computed. The cache spares the L prompt tokens.
    """
    config = sized(size)
    plain, cached = (step_cost(config, 48, images, tokens, c)["language model"] for c in (False, True))
    assert plain / cached == pytest.approx(ideal_ratio(image_tokens(config, 48), tokens), rel=1e-12)


@given(seed=SEEDS, images=st.integers(1, 2))
def test_every_loop_of_the_bench_computes_the_same(seed, images):
    """official step = our step without a cache = our step.

    Their times may be compared only if their results are equal.
    """
    torch.manual_seed(seed)
    subject = Subject.of(sized("small"), 12, images, 7, torch.float32, torch.device("cpu"))
    loops = subject.loops(2)
    velocities = [loops[name]().v for name in ("ours, no cache", "ours")]
    t = torch.tensor(0.0)
    official = subject.official_step(t, t + 1 / 3) - subject.z
    for velocity in velocities:
        torch.testing.assert_close(velocity / 3, official, rtol=1e-4, atol=1e-5)


def test_the_middle_size_has_the_released_tokens():
    """N(middle) = N(released) = 576.

    The middle size then shows what depends on the number of tokens.
    """
    assert image_tokens(middle(), 48) == image_tokens(JanusConfig(), 48) == 576
    assert 2 ** (len(SDXL_VAE["block_out_channels"]) - 1) * 48 == JanusConfig().image_size


def test_bench_prints_a_table_and_writes_the_same_numbers(tmp_path):
    """table = file.

    The numbers on the screen and the numbers that are kept must be the same.
    """
    report, plot = tmp_path / "bench.json", tmp_path / "bench.png"
    words = ["bench", "--rounds", "1", "--images", "2", "--prompt-tokens", "9", "--json", report, "--plot", plot]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    found = json.loads(report.read_text())
    assert (found["images"], found["prompt_tokens"], found["image_tokens"]) == (2, 9, 36)
    assert f"{found['loops']['ours']['median']:,.2f}" in result.output
    assert found["ideal"] == pytest.approx(46 / 37)
    assert all(0 < spread["low"] <= spread["median"] <= spread["high"] for spread in found["stages"].values())
    with Image.open(plot) as picture:
        assert picture.width > 500
