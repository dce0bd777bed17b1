"""Batches and their loss: what is drawn, in which shares, and what the network is given."""

from collections import Counter
from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tools.drawn import normal
from torch import nn

from janus_minimal.training.batch import Batch, draw_batch
from janus_minimal.training.loss import flow_loss

IDS = [torch.tensor([1, 10 + i, 20 + i, 3, 4][: 3 + i % 3]) for i in range(5)]  # 3 to 5 tokens
LATENTS = normal(0, 5, 4, 12, 12)
FIELDS = ("z_0", "z_1", "t", "dropped")


class Witness(nn.Module):
    """A network that remembers what it was given, and answers zero."""

    def forward(self, z, t, rows):
        self.z, self.t, self.rows = z, t, rows
        return torch.zeros_like(z)


def process(index: int, number: int, device: str = "cpu") -> Accelerator:
    """The accelerator of one of several processes, without the processes."""
    return Mock(spec=Accelerator, process_index=index, num_processes=number, device=torch.device(device))


@pytest.fixture(scope="module")
def large() -> Batch:
    """One batch of many examples."""
    return draw_batch(3, IDS, LATENTS[:, :, :2, :2], 20_000, seed=5)


def test_times_have_the_distribution_of_the_docs(large):
    """logit(t) ~ N(-0.8, 1.2^2); P(0.1 < t < 0.3) is twice that of a standard logit-normal.

    These are the times at which the caption matters most. The numbers stand here once more, so that a changed constant
    is seen.
    """
    logits = large.t.double().logit().numpy()
    assert stats.kstest(logits, stats.norm(-0.8, 1.2).cdf).pvalue > 1e-3
    share = ((large.t > 0.1) & (large.t < 0.3)).double().mean().item()
    logit = [-2.1972, -0.8473]  # of 0.1 and 0.3
    standard = float(stats.norm.cdf(logit[1]) - stats.norm.cdf(logit[0]))
    assert share == pytest.approx(2 * standard, rel=0.06)


def test_noise_is_standard_normal(large):
    """z_0 ~ N(0, 1), every number of its own.

    Sampling starts from standard normal noise, so the network must have learned from the same.
    """
    assert stats.kstest(large.z_0.flatten()[:50_000].numpy(), "norm").pvalue > 1e-3
    correlation = torch.corrcoef(large.z_0.flatten(1).T) - torch.eye(16)
    assert correlation.abs().max() < 0.05


def test_one_prompt_in_ten_is_dropped_and_each_by_its_own_chance(large):
    """P(dropped) = 0.1, P(dropped twice in a row) = 0.01, and the time does not matter.

    JanusFlow drops 10 % of the prompts. Guidance at sampling needs both kinds of rows at every time.
    """
    dropped = large.dropped.double()
    assert dropped.mean().item() == pytest.approx(0.1, abs=0.01)
    assert (dropped[1:] * dropped[:-1]).mean().item() == pytest.approx(0.01, abs=0.004)
    assert torch.corrcoef(torch.stack([dropped, large.t.double()]))[0, 1].abs() < 0.03


def test_every_example_is_drawn_equally_often(large):
    """P(example i) = 1 / n, for every i, the first and the last included, and again 1 / n for the next one.

    An example that is never drawn was encoded for nothing. They are drawn with replacement, in no order, from all n,
    also where a batch is smaller than n.
    """
    drawn = [row[1].item() - 10 for row in large.ids]
    counts = Counter(drawn)
    assert sum(map(int.__eq__, drawn[1:], drawn)) / len(drawn) == pytest.approx(1 / 5, abs=0.015)
    assert sorted(counts) == list(range(5))
    assert stats.chisquare([counts[i] for i in range(5)]).pvalue > 1e-3
    pairs = Counter(
        row[1].item() - 10 for k in range(500) for row in draw_batch(k, IDS, LATENTS[:, :, :1, :1], 2, 0).ids
    )
    assert stats.chisquare([pairs[i] for i in range(5)]).pvalue > 1e-3


def test_no_two_steps_of_two_seeds_draw_the_same_noise():
    """z_0(k, seed) is another for every pair of k and seed.

    If only the sum of both decided, step 1 of seed 0 would be step 0 of seed 1, and runs of two seeds nearly the same.
    """
    noises = {draw_batch(k, IDS, LATENTS, 1, seed).z_0.sum().item() for k in range(6) for seed in range(6)}
    assert len(noises) == 36


def test_a_share_moves_to_the_device_of_its_process():
    """device(batch.share(process)) = the process's device, in every field.

    Batches are drawn on the CPU. The meta device stands in for a GPU here.
    """
    part = draw_batch(0, IDS, LATENTS, 4, 0).share(process(0, 2, "meta"))
    assert {getattr(part, name).device.type for name in FIELDS} | {row.device.type for row in part.ids} == {"meta"}


@given(seed=st.integers(0, 1000), pad_id=st.integers(0, 9))
def test_the_network_is_given_the_point_on_the_line_its_time_and_its_row(seed, pad_id):
    """network((1 - t) z_0 + t z_1, t, row of the prompt), with the tokenizer's padding id.

    A swapped time would train a network that believes noise to be data. Such a loss falls as well.
    """
    batch, network = draw_batch(0, IDS, LATENTS, 6, seed), Witness()
    loss = flow_loss(network, batch, pad_id)
    assert torch.equal(network.t, batch.t)
    for i in range(6):
        z_t = (1 - batch.t[i]) * batch.z_0[i] + batch.t[i] * batch.z_1[i]
        torch.testing.assert_close(network.z[i], z_t)
        shown = batch.ids[i][: 1 if batch.dropped[i] else -1]
        assert network.rows.ids[i][network.rows.attention_mask[i]].equal(shown)
        assert (network.rows.ids[i][~network.rows.attention_mask[i]] == pad_id).all()
        assert network.rows.positions[i, -1] == len(batch.ids[i]) - 2
    assert loss.item() == pytest.approx((batch.z_1 - batch.z_0).square().mean().item())


def test_shares_have_together_the_loss_of_the_batch(model):
    """mean over p processes of loss(share) = loss(batch), and loss(batch with other captions) differs much more.

    The network has random weights, so its answer depends on the caption. With the weights of an untrained small
    model, which answer zero, captions could be scrambled among processes without a trace.
    """
    batch = replace(draw_batch(0, IDS, LATENTS, 6, 1), dropped=torch.arange(6) % 3 == 0)
    scrambled = replace(batch, ids=batch.ids[1:] + batch.ids[:1])
    with torch.no_grad():
        whole = flow_loss(model, batch, 0).item()
        other = flow_loss(model, scrambled, 0).item()
        for number in (2, 3):
            shares = [flow_loss(model, batch.share(process(i, number)), 0).item() for i in range(number)]
            assert sum(shares) / number == pytest.approx(whole, rel=1e-6)
    assert abs(other - whole) > 1e-4 * whole


def test_a_batch_is_drawn_in_one_order_in_every_version():
    """draw_batch(k, seed) draws examples, noise, times, dropped prompts, from a generator of seed 1,000,003 seed + k.

    A run goes on with the batches that it would have had. In another order, those of a new version would be others.
    """
    batch, generator = draw_batch(7, IDS, LATENTS, 6, seed=5), torch.Generator().manual_seed(5_000_015 + 7)
    chosen = torch.randint(5, (6,), generator=generator)
    assert batch.z_1.equal(LATENTS[chosen])
    assert batch.z_0.equal(torch.randn(6, 4, 12, 12, generator=generator))
    assert batch.t.equal(torch.sigmoid(-0.8 + 1.2 * torch.randn(6, generator=generator)))
    assert batch.dropped.equal(torch.rand(6, generator=generator) < 0.1)
