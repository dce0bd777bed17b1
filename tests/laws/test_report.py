"""The bench: what it counts stage by stage, how it times, and what its report concludes."""

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from janus_minimal import euler_step, guide
from janus_minimal.bench import clock, measure, sizes
from janus_minimal.bench.clock import Spread, by_turns, milliseconds, product
from janus_minimal.bench.cost import ideal_ratio, image_tokens, linear, step_cost
from janus_minimal.bench.report import Report
from janus_minimal.bench.subject import Subject
from janus_minimal.config import JanusConfig
from janus_minimal.loading.vae import pixels_per_latent

STAGES = ("encode", "align in", "language model", "align out", "decode", "guide and Euler")
REPORT = Report(
    size="small",
    device="a card",
    dtype="float32",
    images=2,
    prompt_tokens=19,
    image_tokens=36,
    parameters=1_234_567,
    loops={"official style": Spread(90.0, 80.0, 99.0), "ours": Spread(40.0, 30.0, 55.0)},
    stages={name: Spread(float(i + 1), i + 0.5, i + 2.0) for i, name in enumerate(STAGES)}
    | {"language model with the prompt": Spread(4.2, 4.0, 5.0)},
    operations={"encode": 2 * 10**9, "language model": 6 * 10**9},
    products={"matrix product, language model": 3e11, "matrix product, large": 4.8e11},
    memory=2_500_000_000,
)


@pytest.fixture(scope="module")
def subject() -> Subject:
    torch.manual_seed(0)
    return Subject.of(sizes.sized("small"), 12, 2, 7, torch.float32, torch.device("cpu"))


@pytest.fixture(scope="module")
def loud() -> Subject:
    """A subject with larger weights, in which every token makes a difference that can be seen."""
    torch.manual_seed(0)
    subject = Subject.of(sizes.sized("small"), 12, 2, 7, torch.float32, torch.device("cpu"))
    for parameter in subject.model.llama.layers.parameters():
        parameter.mul_(10)
    return subject


@pytest.fixture(scope="module")
def stages(loud):
    return loud.stages()


def test_every_stage_costs_what_torch_counts_in_it(loud, stages):
    """step_cost[stage] = operations that FlopCounterMode sees in this stage alone.

    Two stages that were exchanged would leave the sum as it is.
    """
    expected = step_cost(loud.model.config, 12, 2, 7)
    for name in STAGES[:5]:
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
            stages[name]()
        assert counter.get_total_flops() == expected[name], name
    assert list(expected) == list(STAGES[:5])


def test_every_stage_is_given_what_the_stage_before_returned(loud, stages):
    """guide(decode(align_out(backbone(align_in(encode(z)))))) = one step of the model, and alternatives = their stage.

    A stage that is timed on other inputs may take another time.
    """
    model, prompt, z, t = loud.model, loud.prompt, loud.z, torch.tensor(0.3)
    with torch.no_grad():
        cache = model.prefill(prompt)
        v_cond, v_uncond = model.velocity(z, t, prompt, cache)
        found = {name: action() for name, action in stages.items()}
    torch.testing.assert_close(found["decode"], torch.cat([v_cond, v_uncond]))
    step = euler_step(z, guide(v_cond, v_uncond, 2.0), t, t + 0.1)
    torch.testing.assert_close(found["guide and Euler"], step)
    language = found["language model"]
    torch.testing.assert_close(found["language model with the prompt"], language, rtol=1e-4, atol=1e-4)
    masked = found["language model, mask made before"].last_hidden_state
    torch.testing.assert_close(masked, language, rtol=1e-4, atol=1e-4)
    apart = torch.cat(found["language model, rows without words apart"])
    torch.testing.assert_close(apart, language, rtol=1e-4, atol=1e-4)
    for joined, layer in zip(found["joining the prompt's keys and the new ones"], cache.layers, strict=True):
        assert torch.equal(joined[0][:, :, :7], layer.keys)
        assert joined[0].shape[2] == 7 + 37
    assert found["encode every row"][0].shape[0] == 2 * found["encode"][0].shape[0] == 4
    assert found["prefill"].get_seq_length() == 7


def test_a_subject_has_the_sizes_that_were_asked_for(subject):
    """prompt: L tokens after the last is dropped, B images; z [B, 4, side, side]; weights ~ N(0, 0.02^2), no gradient.

    L is counted as the loop counts it. The official loop and ours without a cache run on the prompt in each step.
    """
    assert subject.prompt.rows.ids.shape == (2, 7)
    assert subject.prompt.num_images == 2
    assert subject.z.shape == (2, 4, 12, 12)
    assert subject.z.std().item() == pytest.approx(1, abs=0.1)
    weights = subject.model.llama.layers[0].mlp.up_proj.weight
    assert weights.std().item() == pytest.approx(0.02, rel=0.05)
    assert not any(p.requires_grad for p in subject.model.parameters())
    assert not subject.model.training
    half = sizes.random_model(sizes.sized("small"), torch.bfloat16, torch.device("cpu"))
    assert half.dtype == torch.bfloat16
    loops = subject.loops(2)
    assert list(loops) == ["official style", "ours, no cache", "ours"]
    steps = [loops["ours"]() for _ in range(3)]
    assert [round(step.t.item(), 4) for step in steps] == [0, 0.3333, 0.6667]
    loops, shapes = subject.loops(2), []
    for action in loops.values():  # the first step also fills the cache
        action()
    hook = subject.model.llama.layers[0].register_forward_hook(lambda layer, x, out: shapes.append(x[0].shape[:2]))
    for action in loops.values():
        action()
    hook.remove()
    assert shapes == [(4, 7 + 37), (4, 7 + 37), (4, 37)]


def test_the_sizes_are_those_of_the_docs():
    """middle: half the widths and a third of the layers of the released model, all else alike; SDXL's VAE.

    The numbers of SDXL's VAE are those of its config.json on the hub.
    """
    middle, released = sizes.sized("middle"), sizes.sized("released")
    assert released == JanusConfig()
    assert (middle.encoder.channels, middle.decoder.channels, middle.decoder.in_channels) == (384, 384, 384)
    assert {middle.encoder.hidden_size, middle.decoder.hidden_size, middle.language.hidden_size} == {1024}
    assert (middle.language.intermediate_size, middle.language.num_hidden_layers) == (5632 // 2, 24 // 3)
    assert (middle.language.num_attention_heads, middle.language.num_key_value_heads) == (8, 8)
    assert sizes.sized("small").language.vocab_size == 33
    assert sizes.SDXL_VAE["block_out_channels"] == (128, 256, 512, 512)
    assert (sizes.SDXL_VAE["layers_per_block"], sizes.SDXL_VAE["latent_channels"]) == (2, 4)
    assert (sizes.SDXL_VAE["scaling_factor"], sizes.SDXL_VAE["sample_size"]) == (0.13025, 1024)
    assert sizes.vae_of("small", torch.device("cpu")).config.sample_size == 48


def test_actions_take_turns_and_are_warmed_up(monkeypatch):
    """by_turns(a, b; 3 rounds): a b | a b | a b | a b, the first unmeasured; median, least and most of the three.

    A slow minute of the machine then slows all of them. The bar counts every run.
    """
    ran, times = [], iter([3.0, 30.0, 10.0, 100.0, 5.0, 50.0])
    monkeypatch.setattr(clock, "milliseconds", lambda action: (action(), next(times))[1])
    with tqdm(file=io.StringIO()) as bar:
        found = by_turns({"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, 3, bar)
        assert (bar.n, bar.total) == (8, 8)
    assert "".join(ran) == "abababab"
    assert found == {"a": Spread(5.0, 3.0, 10.0), "b": Spread(50.0, 30.0, 100.0)}


def test_a_time_is_in_milliseconds_and_ends_when_the_device_has_finished(monkeypatch):
    """milliseconds(action) = 1000 (end - start), with the accelerator waited for before and after.

    Calls to an accelerator return before it has done its work.
    """
    order, times = [], iter([10.0, 30.25])
    monkeypatch.setattr(clock, "synchronize", lambda: order.append("wait"))
    monkeypatch.setattr(clock.time, "perf_counter", lambda: order.append("clock") or next(times))
    assert milliseconds(lambda: order.append("work")) == 20250.0
    assert order == ["wait", "clock", "work", "wait", "clock"]


def test_a_product_has_the_operations_that_it_is_counted_with(surroundings):
    """product(rows, width, outputs): linear(rows, width, outputs) = 2 rows width outputs operations, dtype and device.

    Rates are operations over times, so both must belong to one product.
    """
    action = product(3, 5, 7, torch.bfloat16, torch.device("cpu"))
    with FlopCounterMode(display=False) as counter:
        found = action()
    assert counter.get_total_flops() == linear(3, 5, 7) == 210
    assert (found.shape, found.dtype) == ((3, 7), torch.bfloat16)
    surroundings(torch.float32, "meta")  # what is made without a word about its device is there
    assert product(3, 5, 7, torch.float32, torch.device("cpu"))().device.type == "cpu"


def test_a_measurement_reports_what_it_measured(monkeypatch):
    """Report: sizes, names, one time for each loop and stage, rates of products = operations / seconds, the peak.

    Each action takes a known time here.
    """
    bars = []

    def turns(actions, rounds, bar):
        bars.append(rounds)
        return {name: Spread(2.0 + i, 1.0, 9.0) for i, name in enumerate(actions)}

    asked, of = [], Subject.of
    monkeypatch.setattr(Subject, "of", lambda *given: asked.append(given) or of(*given))
    monkeypatch.setattr(measure, "by_turns", turns)
    monkeypatch.setattr(measure, "peak_memory", lambda device: 77)
    monkeypatch.setattr(measure, "LARGE", 64)
    found = measure.measure("small", 2, 9, 3, torch.bfloat16, torch.device("cpu"), False, tqdm(disable=True))
    assert bars == [3]
    assert asked == [(sizes.sized("small"), 12, 2, 9, torch.bfloat16, torch.device("cpu"))]
    assert (found.size, found.dtype, found.images, found.prompt_tokens) == ("small", "bfloat16", 2, 9)
    assert (found.image_tokens, found.parameters, found.memory) == (36, 3_757_552, 77)
    assert list(found.loops) == ["official style", "ours, no cache", "ours"]
    assert {*STAGES, "prefill", "VAE"} < set(found.stages)
    assert found.operations == step_cost(sizes.sized("small"), 12, 2, 9)
    times = {**found.loops, **found.stages}
    assert [spread.median for spread in times.values()] == [2.0 + i for i in range(len(times))]
    rows, seconds = 2 * 2 * 37, (2.0 + len(times)) / 1000
    assert found.products["matrix product, language model"] == pytest.approx(2 * rows * 192 * 512 / seconds)
    assert found.products["matrix product, large"] == pytest.approx(2 * 64**3 / (seconds + 0.001))


@pytest.mark.parametrize(("size", "pixels"), [("small", 4), ("middle", 8), ("released", 8)])
def test_the_vae_is_that_of_the_size(size, pixels):
    """vae_of(size): 4 pixels for each place of the latent at the small size, and 8, as SDXL's VAE has, at the others.

    With 4 pixels the latent of a middle picture would have four times as many tokens as the released model computes.
    """
    with torch.device("meta" if pixels == 8 else "cpu") as device:
        vae = sizes.vae_of(size, device)
    assert pixels_per_latent(vae) == pixels


def test_all_that_is_timed_is_on_the_device(monkeypatch):
    """Subject.of(device), vae_of(size, device): weights, tables, prompt and noise are there.

    A part that was left on the CPU would be moved in each step, or fail. The meta device stands in for a GPU.
    """
    device = torch.device("meta")
    monkeypatch.setattr(sizes, "SDXL_VAE", {"block_out_channels": (32,)})
    subject = Subject.of(sizes.sized("small"), 12, 2, 7, torch.float32, device)
    networks = (subject.model, *(sizes.vae_of(size, device) for size in ("small", "middle")))
    tensors = [x for network in networks for x in (*network.parameters(), *network.buffers())]
    tensors += [subject.z, *vars(subject.prompt.rows).values()]
    assert {x.device.type for x in tensors} == {"meta"}
    assert not any(network.training for network in networks)


class Measured:
    """Stands for a Subject of the bench: it has one loop and one stage, and the latents of B images."""

    def __init__(self, config, side, images, *rest):
        self.z, self.model = torch.zeros(images, 4, side, side), nn.Linear(1, 1)

    def loops(self, *asked):
        assert asked == (1, False)  # one round, or the generators of steps would end before the rounds do
        return {"ours": list}

    def stages(self):
        return {"encode": list}


@pytest.mark.parametrize(("size", "side"), [("small", 12), ("middle", 48), ("released", 48)])
def test_a_measurement_is_of_the_size_the_images_and_the_device_that_it_reports(monkeypatch, size, side):
    """measure(size, B images, device): the VAE of that size and device decodes all B latents; that device is named.

    So are the sizes and the dtype of the matrix products. The models are stand-ins, and each action runs once.
    """
    asked, products, device = [], [], torch.device("cuda:1")
    factor = SimpleNamespace(pixels=sizes.sized(size).image_size // side)
    monkeypatch.setattr(measure, "vae_of", lambda *given: asked.append(given) or factor)
    monkeypatch.setattr(measure, "pixels_per_latent", lambda vae: vae.pixels)
    monkeypatch.setattr(measure, "to_pictures", lambda vae, z, kind: asked.append((vae, z.shape, kind)))
    monkeypatch.setattr(measure, "Subject", SimpleNamespace(of=Measured))
    monkeypatch.setattr(measure, "product", lambda *given: products.append(given) or list)
    monkeypatch.setattr(measure, "device_name", lambda device: f"the card {device}")
    monkeypatch.setattr(measure, "peak_memory", lambda device: asked.append(device) or 0)
    monkeypatch.setattr(clock, "milliseconds", lambda action: 1.0)
    found = measure.measure(size, 3, 9, 1, torch.bfloat16, device, False, tqdm(file=io.StringIO()))
    rows, language = 2 * 3 * (1 + (side // 2) ** 2), sizes.sized(size).language
    assert products == [
        (rows, language.hidden_size, language.intermediate_size, torch.bfloat16, device),
        (4096, 4096, 4096, torch.bfloat16, device),
    ]
    assert asked == [(size, device), (factor, (3, 4, side, side), "pt"), device]
    assert (found.device, found.image_tokens) == ("the card cuda:1", (side // 2) ** 2)


def test_the_compiled_loop_is_timed_beside_the_others(monkeypatch):
    """measure(compiled): one loop more; only the model of that loop is compiled, and it has the weights of the others.

    Were the others compiled too, all loops would take the same time.
    """
    compiled, loops = [], []
    monkeypatch.setattr("janus_minimal.bench.subject.compile_stages", compiled.append)
    subject, of = [], Subject.of
    monkeypatch.setattr(Subject, "of", lambda *given: subject.append(of(*given)) or subject[0])
    monkeypatch.setattr(
        measure, "by_turns", lambda actions, *_: loops.extend(actions) or dict.fromkeys(actions, Spread(1.0, 1.0, 1.0))
    )
    monkeypatch.setattr(measure, "LARGE", 64)
    found = measure.measure("small", 1, 9, 1, torch.float32, torch.device("cpu"), True, tqdm(disable=True))
    assert list(found.loops) == loops[:4] == ["official style", "ours, no cache", "ours", "ours, compiled"]
    (model,) = compiled
    assert model is not subject[0].model
    weights = zip(model.parameters(), subject[0].model.parameters(), strict=True)
    assert all(ours is theirs for ours, theirs in weights)


def test_the_report_concludes_by_hand():
    """ratio = 4.2 / 3 = 1.4, ideal = 56 / 37, floor = 1000 * 8e9 / 4.8e11 = 50 / 3 ms, over it 40 * 3 / 50.

    The same numbers stand in the file and in the table.
    """
    found = REPORT.to_dict()
    expected = {"ratio": 1.4, "ideal": 56 / 37, "near": 1.4 / (56 / 37), "floor": 50 / 3, "faster": 2.25}
    for name, value in (expected | {"over the floor": 2.4}).items():
        assert found[name] == pytest.approx(value), name
    assert found["loops"]["ours"] == {"median": 40.0, "low": 30.0, "high": 55.0}
    assert found["operations"] == REPORT.operations
    assert ideal_ratio(36, 19) == pytest.approx(56 / 37)
    assert image_tokens(JanusConfig(), 96) == 48 * 48


def test_the_table_and_the_bars_show_the_same_numbers():
    """table: median, least, most; a stage's share of our step; the floor's share of a loop; bars: loops, then stages.

    Shares: encode 1 / 40 = 2.5 %, the floor 16.67 / 90 = 18.5 % of the official step.
    """
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in REPORT.to_table().splitlines()]
    assert ["official style", "90.00", "80.00", "99.00", "18.5%"] in cells
    assert ["ours", "40.00", "30.00", "55.00", "41.7%"] in cells
    assert ["encode", "1.00", "0.50", "2.00", "2.5%"] in cells
    assert ["guide and Euler", "6.00", "5.50", "7.00", "15.0%"] in cells
    assert ["language model with the prompt", "4.20", "4.00", "5.00"] in cells
    text = " ".join(REPORT.to_table().split())
    for words in (
        "small size, 1,234,567 parameters, float32 on a card; images 2, 19 prompt tokens, 36 image tokens",
        "is 1.400 times as fast; ideal: 1.514, of which 92.5%",
        "matrix products: 480 GFLOP/s; a step: 8.0 GFLOP, 16.7 ms at that rate; measured: 2.40 times that",
        "memory: 2.50 GB",
    ):
        assert words in text
    rows, title, label = REPORT.to_bars()
    assert rows == {
        "official style": {"official style": 90.0},
        "ours": {"ours": 40.0},
        "of which": {name: i + 1.0 for i, name in enumerate(STAGES)},
    }
    assert (title, label) == ("One step at small size: 2 images, 19 prompt tokens, a card", "milliseconds")
    assert "1 image," in replace(REPORT, images=1).to_bars()[1]
