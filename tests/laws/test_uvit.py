"""Every block of the U-ViT gives the official module's values and has the properties that its design promises."""

import pytest
import torch
from einops import rearrange
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from tools.drawn import SEEDS, normal
from torch import nn
from torch.nn import functional as F

from janus_minimal.config import DecoderConfig, EncoderConfig
from janus_minimal.uvit import (
    ConvNextBlock,
    GlobalResponseNorm,
    MidBlock,
    ShallowUViTDecoder,
    norm_over_channels,
    sinusoids,
)

CLOSE = {"rtol": 0, "atol": 1e-5}
SIDES = st.integers(1, 9)
CHANNELS = st.integers(1, 12)


def random_norm(channels, seed):
    norm = GlobalResponseNorm(channels)
    norm.weight.data, norm.bias.data = normal(seed, 2, 1, 1, 1, channels)
    return norm


def test_sinusoids_are_the_official_ones(golden):
    """e(t) = [cos(1000 t f), sin(1000 t f)], f_i = 10000^(-i / half).

    The expected values come from the official module. Its input is 1000 t, as ours is.
    """
    torch.testing.assert_close(sinusoids(golden["enc_t"], 32), golden["time_proj"], **CLOSE)


def test_the_response_norm_is_the_official_one(model, golden):
    """out = bias + (weight n + 1) x, n = g / (mean g + 1e-6), g = |x| over the picture.

    The expected values come from the official module. g is the L2 norm of each channel over all positions of the
    picture.
    """
    norm = model.vision_gen_enc_model.mid_block.res_blocks[0].channelwise_norm
    torch.testing.assert_close(norm(golden["grn_x"]), golden["grn_out"], **CLOSE)


def test_the_convnext_block_is_the_official_one(model, golden):
    """out = (x + mlp(norm(depthwise x))) (1 + scale) + shift.

    The expected values come from the official module. There, the time scales and shifts the sum, not only the residual
    branch.
    """
    block = model.vision_gen_enc_model.mid_block.res_blocks[0]
    torch.testing.assert_close(block(golden["dec_skip"], golden["enc_t_emb"]), golden["block_out"], **CLOSE)


def test_the_encoder_is_the_official_one(model, golden):
    """(x_emb, t_emb, skip) = encoder(z, 1000 t), skip = x_emb.

    The expected values come from the official module. It returns the skip in a list; our encoder returns the tensor
    itself.
    """
    x_emb, t_emb, skip = model.vision_gen_enc_model(golden["enc_x"], golden["enc_t"])
    torch.testing.assert_close(x_emb, golden["enc_x_emb"], **CLOSE)
    torch.testing.assert_close(t_emb, golden["enc_t_emb"], **CLOSE)
    assert torch.equal(skip, x_emb)


def test_the_decoder_is_the_official_one(model, golden):
    """v = unpatch(blocks([norm(back) ; skip], t_emb)).

    The expected values come from the official module. Only the language model's output is normalised; the skip is not.
    """
    out = model.vision_gen_dec_model(golden["dec_x"], golden["enc_t_emb"], golden["dec_skip"])
    torch.testing.assert_close(out, golden["dec_out"], **CLOSE)


@pytest.mark.parametrize("upsamples", [1, 2, 3])
def test_each_upsample_doubles_the_side_and_the_last_gives_the_latent(upsamples):
    """[2C, h, w] -> [C, 2h, 2w] -> ... -> [c, H, W].

    The released decoder has one upsample, but a config may ask for more. Only the last one gives the c channels of the
    latent.
    """
    decoder = ShallowUViTDecoder(DecoderConfig((4,), 8, in_channels=4, out_channels=3, upsamples=upsamples))
    shapes, x = [], torch.zeros(1, 8, 5, 6)
    for unpatch in decoder.out_convs:
        x = unpatch(x)
        shapes.append(tuple(x.shape[1:]))
    *between, last = [(4, 5 * 2**i, 6 * 2**i) for i in range(1, upsamples + 1)]
    assert shapes == [*between, (3, *last[1:])]


@given(channels=CHANNELS, seed=SEEDS)
def test_without_a_middle_block_nothing_happens_in_the_middle(channels, seed):
    """use_mid_block = False  =>  mid_block(x, t_emb) = x.

    This setting removes all ConvNeXt blocks, even if layers_in_middle names a number of them.
    """
    block = MidBlock(channels, EncoderConfig(hidden_size=8, use_mid_block=False))
    x = normal(seed, 2, channels, 3, 4)
    assert torch.equal(block(x, normal(seed, 2, 8)), x)


@given(half=st.integers(1, 64), seed=SEEDS)
def test_sinusoids_have_a_known_length(half, seed):
    """|e(t)|^2 = C / 2.

    The embedding has C / 2 frequencies, and each contributes cos^2 + sin^2 = 1, at any time.
    """
    e = sinusoids(1000 * normal(seed, 5).sigmoid(), 2 * half)
    torch.testing.assert_close(e.square().sum(dim=1), torch.full((5,), float(half)))


@given(s=st.floats(0, 999), apart=st.floats(0.1, 1000))
def test_sinusoids_tell_times_apart(s, apart):
    """s != s'  =>  e(s) != e(s').

    The slowest wave completes less than half a period over the whole range of s. So it never repeats a value, and
    different times have different embeddings.
    """
    here, there = sinusoids(torch.tensor([s, s + apart]), 64)
    assert (here - there).norm() > 0.05


@given(rows=st.integers(1, 3), side=SIDES, channels=CHANNELS, seed=SEEDS)
def test_the_response_norm_starts_as_the_identity(rows, side, channels, seed):
    """weight = bias = 0  =>  out = x.

    The 1 in (weight n + 1) is a residual connection. A new layer, whose weight and bias are zero, therefore changes
    nothing.
    """
    x = normal(seed, rows, side, side, channels)
    assert torch.equal(GlobalResponseNorm(channels)(x), x)


@pytest.mark.parametrize("g", [0.0, 1e-7, 1e-6, 1e-5])
def test_the_response_norm_calms_what_hardly_speaks(g):
    """all channels of norm g  =>  n = g / (g + 1e-6).

    If all channels are close to zero, n is close to zero too, so none of them is amplified. The constant 1e-6 also
    prevents a division by zero.
    """
    norm = GlobalResponseNorm(3)
    norm.weight.data.fill_(1)
    x = torch.full((1, 1, 1, 3), g)
    torch.testing.assert_close(norm(x), (1 + g / (g + 1e-6)) * x, rtol=1e-4, atol=0)


def test_norms_are_summed_in_float32_under_bfloat16_weights():
    """bfloat16: norm of 576 ones = 24, and RMSNorm of 2,048 ones = ones.

    A running sum of ones in bfloat16 stops at 256, where the next number is 258. So both sums must be float32 inside.
    """
    x, few = torch.ones(1, 24, 24, 2, dtype=torch.bfloat16), 64
    x.view(576, 2)[few:, 1] = 0  # the norms are 24 and 8, their mean is 16
    norm = GlobalResponseNorm(2).bfloat16()
    norm.weight.data.fill_(1)
    assert norm(x)[0, 0, 0].tolist() == [1 + 24 / 16, 1 + 8 / 16]
    ones = torch.ones(1, 2048, 1, 1, dtype=torch.bfloat16)
    assert torch.equal(norm_over_channels(nn.RMSNorm(2048, eps=1e-6).bfloat16(), ones), ones)


@given(side=SIDES, channels=CHANNELS, seed=SEEDS)
def test_the_response_norm_knows_no_order_of_channels(side, channels, seed):
    """norm_p(x[p]) = norm(x)[p] for every permutation p of the channels, applied to weight and bias too.

    Each channel is compared with the mean over all channels. The mean does not depend on the order of the channels.
    """
    x, norm = normal(seed, 2, side, side, channels), random_norm(channels, seed)
    order = torch.randperm(channels, generator=torch.Generator().manual_seed(seed))
    permuted = GlobalResponseNorm(channels)
    permuted.weight.data, permuted.bias.data = norm.weight.data[..., order], norm.bias.data[..., order]
    torch.testing.assert_close(permuted(x[..., order]), norm(x)[..., order])


@given(side=SIDES, channels=CHANNELS, seed=SEEDS)
def test_the_response_norm_knows_no_order_of_places(side, channels, seed):
    """norm(x[q]) = norm(x)[q] for every permutation q of the picture's positions.

    The norm of a channel sums over all positions, rows and columns alike. The sum does not depend on the order of the
    positions.
    """
    x, norm = normal(seed, 2, side, side, channels), random_norm(channels, seed)
    order = torch.randperm(side * side, generator=torch.Generator().manual_seed(seed))

    def shuffled(y):
        return rearrange(rearrange(y, "b h w K -> b (h w) K")[:, order], "b (h w) K -> b h w K", h=side)

    torch.testing.assert_close(norm(shuffled(x)), shuffled(norm(x)))


@given(side=SIDES, channels=CHANNELS, seed=SEEDS)
def test_a_block_that_hears_no_time_is_a_plain_residual_block(side, channels, seed):
    """scale = shift = 0  =>  out = x + mlp(norm(depthwise x)), for every t_emb.

    FiLM multiplies by 1 + scale and adds shift. If the layer that computes both has zero weights, the time has no
    influence.
    """
    block, x = ConvNextBlock(channels, 16, 1e-6, 0.0), normal(seed, 2, channels, side, side)
    nn.init.zeros_(block.cond_embeds_mapper.weight)
    nn.init.zeros_(block.cond_embeds_mapper.bias)
    y = block.channelwise_linear_1(block.norm(rearrange(block.depthwise(x), "b K h w -> b h w K")))
    y = block.channelwise_linear_2(block.channelwise_norm(F.gelu(y)))
    torch.testing.assert_close(block(x, normal(seed, 2, 16)), x + rearrange(y, "b h w K -> b K h w"))


@pytest.mark.parametrize("rate", [0.0, 0.25, 1.0])
def test_dropout_drops_a_share_of_what_a_block_adds(rate):
    """training: a share p of the numbers that a block adds is 0, the others are 1 / (1 - p) times as large; x is kept.

    At p = 1 the block is the identity, if it hears no time. While drawing nothing is dropped.
    """
    torch.manual_seed(0)
    block, x = MidBlock(8, EncoderConfig(hidden_size=16, layers_in_middle=1, dropout=rate)), normal(0, 2, 8, 16, 16)
    for parameter in block.res_blocks[0].cond_embeds_mapper.parameters():
        nn.init.zeros_(parameter)
    t_emb = normal(1, 2, 16)
    added, whole = block.train()(x, t_emb) - x, block.eval()(x, t_emb) - x
    dropped = added == 0
    assert dropped.float().mean().item() == pytest.approx(rate, abs=0.03)
    torch.testing.assert_close(added[~dropped] * (1 - rate), whole[~dropped], rtol=1e-3, atol=1e-5)


@given(channels=CHANNELS, dy=st.integers(-3, 3), dx=st.integers(-3, 3), seed=SEEDS)
def test_the_depthwise_stage_commutes_with_translation(channels, dy, dx, seed):
    """depthwise(shift x) = shift(depthwise x), away from the border.

    A convolution uses the same weights at every position, so a moved input gives a moved output. Near the border, zero
    padding makes a difference.
    """
    depthwise, x = ConvNextBlock(channels, 16, 1e-6, 0.0).depthwise, normal(seed, 1, channels, 16, 16)
    moved = depthwise(x.roll((dy, dx), (2, 3)))
    inside = slice(6, 10)
    there = depthwise(x).roll((dy, dx), (2, 3))
    torch.testing.assert_close(moved[..., inside, inside], there[..., inside, inside])


@given(channels=CHANNELS, h=SIDES, w=SIDES, seed=SEEDS)
def test_pixel_shuffle_undoes_patchify(channels, h, w, seed):
    """pixel_shuffle(patchify(x)) = x, patchify = "b c (h p) (w q) -> b (c p q) h w".

    The decoder's last operation writes four values of one position into a 2 x 2 square. The encoder cuts the latent
    into the same 2 x 2 squares.
    """
    x = normal(seed, 2, channels, 2 * h, 2 * w)
    patches = rearrange(x, "b c (h p) (w q) -> b (c p q) h w", p=2, q=2)
    assert torch.equal(F.pixel_shuffle(patches, 2), x)


@given(channels=CHANNELS, h=SIDES, w=SIDES, seed=SEEDS)
def test_a_norm_over_channels_leaves_places_alone(channels, h, w, seed):
    """norm_over_channels(norm, x)[:, :, i, j] = norm(x[:, :, i, j]).

    RMSNorm normalises the channel vector of one position and reads no other position. Whether the channels come first
    or last in memory must not change the result.
    """
    norm, x = nn.RMSNorm(channels, eps=1e-6), normal(seed, 2, channels, h, w)
    torch.testing.assert_close(norm_over_channels(norm, x)[:, :, h - 1, 0], norm(x[:, :, h - 1, 0]))


@given(seed=SEEDS)
def test_rows_of_a_batch_never_mix(model, seed):
    """encoder(z)[i] = encoder(z[i]).

    No normalisation runs over the batch. So each latent gives the same result in a batch as it gives alone.
    """
    z, timestep = normal(seed, 3, 4, 12, 12), 1000 * normal(seed, 3).sigmoid()
    whole = model.vision_gen_enc_model(z, timestep)
    alone = model.vision_gen_enc_model(z[1:2], timestep[1:2])
    for part, of_one in zip(whole, alone, strict=True):
        torch.testing.assert_close(part[1:2], of_one, **CLOSE)


def test_shapes_are_checked_while_testing():
    """sinusoids: [b] -> [b, C], and an input of shape [2, 3]  =>  TypeCheckError.

    The tests rely on the shape annotations being enforced. If the check were switched off by mistake, no other test
    would notice.
    """
    with pytest.raises(TypeCheckError):
        sinusoids(torch.zeros(2, 3), 8)
