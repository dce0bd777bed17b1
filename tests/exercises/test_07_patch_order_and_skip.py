"""7. The order of the patches, and what the skip carries.

The language model knows a patch's place only by its number in the sequence: row by row, from the top left, after the
time token. Write two laws. The first is about `model.align_in` and `model.align_out`, on a map of 3 x 5 patches:

    align_in(x_emb, t_emb)[:, 1 + 5 i + j]  = model.vision_gen_enc_aligner(x_emb[:, :, i, j])
    align_out(hidden, skip)[:, :, i, j]     = aligner(norm(hidden[:, 1 + 5 i + j]))

where aligner is `model.vision_gen_dec_aligner` and norm is `model.vision_gen_dec_aligner_norm`. One patch is enough,
if it is neither in the first row nor in the first column and is another one when counted column by column.

The second law is about the skip, which goes around the language model. It is what the encoder gives to the language
model, and its magnitude reaches the decoder.

    (x_emb, t_emb, skip) = vision_gen_enc_model(z, timestep)  =>  skip = x_emb
    vision_gen_dec_model(back, t_emb, 2 skip) != vision_gen_dec_model(back, t_emb, skip)

Results that differ in rounding alone count as equal: use torch.testing.assert_close, and
`not torch.allclose(a, b, rtol=1e-4, atol=1e-5)`. The default atol of allclose, 1e-8, is below rounding.
"""

import torch
from exercises.start import not_attempted


def test_patches_are_read_row_by_row(model):
    x_emb, t_emb = torch.randn(2, 32, 3, 5), torch.randn(2, 64)
    hidden, skip = torch.randn(2, 1 + 15, 64), torch.randn(2, 32, 3, 5)
    not_attempted()  # replace this line by the law


def test_the_skip_tells_its_magnitude(model):
    z, timestep = torch.randn(2, 4, 12, 12), torch.tensor([100.0, 900.0])
    back, t_emb = torch.randn(2, 32, 6, 6), torch.randn(2, 64)
    not_attempted()  # replace this line by the law
