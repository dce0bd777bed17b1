"""Every block of the U-ViT computes what the official one computes."""

import pytest
import torch
from einops import rearrange
from jaxtyping import TypeCheckError
from torch.nn import functional as F

from janus_minimal.uvit import ConvNextBlock, GlobalResponseNorm, sinusoids

CLOSE = {"rtol": 0, "atol": 1e-5}


def test_sinusoids_are_the_official_ones(golden):
    """e(t) = [cos(1000 t f), sin(1000 t f)]; the file holds 1000 t."""
    torch.testing.assert_close(sinusoids(golden["enc_t"], 32), golden["time_proj"], **CLOSE)


def test_the_response_norm_is_the_official_one(model, golden):
    """out = bias + (weight n + 1) x."""
    norm = model.vision_gen_enc_model.mid_block.res_blocks[0].channelwise_norm
    torch.testing.assert_close(norm(golden["grn_x"]), golden["grn_out"], **CLOSE)


def test_the_convnext_block_is_the_official_one(model, golden):
    """The time scales and shifts after the residual sum."""
    block = model.vision_gen_enc_model.mid_block.res_blocks[0]
    torch.testing.assert_close(block(golden["dec_skip"], golden["enc_t_emb"]), golden["block_out"], **CLOSE)


def test_the_encoder_is_the_official_one(model, golden):
    """(x_emb, t_emb, skip) with skip = x_emb."""
    x_emb, t_emb, skip = model.vision_gen_enc_model(golden["enc_x"], golden["enc_t"])
    torch.testing.assert_close(x_emb, golden["enc_x_emb"], **CLOSE)
    torch.testing.assert_close(t_emb, golden["enc_t_emb"], **CLOSE)
    assert torch.equal(skip, x_emb)


def test_the_decoder_is_the_official_one(model, golden):
    """Norm, concatenate the skip, blocks, unpatch."""
    out = model.vision_gen_dec_model(golden["dec_x"], golden["enc_t_emb"], golden["dec_skip"])
    torch.testing.assert_close(out, golden["dec_out"], **CLOSE)


def test_sinusoids_have_a_known_length_and_tell_times_apart():
    """|e(t)|^2 = sum of cos^2 + sin^2 = C / 2."""
    e = sinusoids(torch.linspace(0, 1000, 31), 64)
    torch.testing.assert_close(e.norm(dim=1), torch.full((31,), 32**0.5))
    assert torch.pdist(e).min() > 0.1


def test_the_response_norm_starts_as_the_identity():
    """weight = bias = 0  =>  out = x."""
    x = torch.randn(2, 3, 4, 8)
    assert torch.equal(GlobalResponseNorm(8)(x), x)


def test_a_block_that_hears_no_time_is_a_plain_residual_block():
    """scale = shift = 0  =>  out = x + mlp(...), whatever t_emb says."""
    block = ConvNextBlock(8, hidden=16, eps=1e-6, dropout=0.0)
    torch.nn.init.zeros_(block.cond_embeds_mapper.weight)
    torch.nn.init.zeros_(block.cond_embeds_mapper.bias)
    torch.nn.init.zeros_(block.channelwise_linear_2.weight)
    torch.nn.init.zeros_(block.channelwise_linear_2.bias)
    x = torch.randn(2, 8, 5, 5)
    assert torch.equal(block(x, torch.randn(2, 16)), x)


def test_pixel_shuffle_undoes_patchify():
    """(h p) (w q) -> (c p q) h w -> (h p) (w q) is a permutation that comes back."""
    x = torch.randn(2, 4, 12, 12)
    patches = rearrange(x, "b c (h p) (w q) -> b (c p q) h w", p=2, q=2)
    assert torch.equal(F.pixel_shuffle(patches, 2), x)


def test_rows_of_a_batch_never_mix(model, golden):
    """f(x)[i] = f(x[i]): no norm runs over the batch."""
    whole, _, _ = model.vision_gen_enc_model(golden["enc_x"], golden["enc_t"])
    alone, _, _ = model.vision_gen_enc_model(golden["enc_x"][1:2], golden["enc_t"][1:2])
    torch.testing.assert_close(whole[1:2], alone, **CLOSE)


def test_shapes_are_checked_while_testing():
    """A [2, 3] time is no [b] time: the annotations are enforced, or every other test means less."""
    with pytest.raises(TypeCheckError):
        sinusoids(torch.zeros(2, 3), 8)
