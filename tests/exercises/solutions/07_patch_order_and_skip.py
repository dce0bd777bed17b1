"""7. The order of the patches, and what the skip carries."""

import torch


def test_patches_are_read_row_by_row(model):
    x_emb, t_emb = torch.randn(2, 32, 3, 5), torch.randn(2, 64)
    hidden, skip = torch.randn(2, 1 + 15, 64), torch.randn(2, 32, 3, 5)
    inward = model.vision_gen_enc_aligner(x_emb[:, :, 1, 3])
    torch.testing.assert_close(model.align_in(x_emb, t_emb)[:, 1 + 5 * 1 + 3], inward, rtol=1e-4, atol=1e-5)
    outward = model.vision_gen_dec_aligner(model.vision_gen_dec_aligner_norm(hidden[:, 1 + 5 * 1 + 3]))
    torch.testing.assert_close(model.align_out(hidden, skip)[:, :, 1, 3], outward, rtol=1e-4, atol=1e-5)


def test_the_skip_tells_its_magnitude(model):
    z, timestep = torch.randn(2, 4, 12, 12), torch.tensor([100.0, 900.0])
    back, t_emb = torch.randn(2, 32, 6, 6), torch.randn(2, 64)
    x_emb, _, skip = model.vision_gen_enc_model(z, timestep)
    torch.testing.assert_close(skip, x_emb)
    once, twice = (model.vision_gen_dec_model(back, t_emb, k * skip) for k in (1, 2))
    assert not torch.allclose(once, twice, rtol=1e-3, atol=1e-4)
