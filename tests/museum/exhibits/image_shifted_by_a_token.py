"""The last hidden state is dropped instead of the first.

As a language model does, whose token j predicts token j + 1. Here the time token goes first and predicts nothing;
dropping at the other end moves the whole picture by one token.
"""

from einops import parse_shape, rearrange
from museum.plant import instead_of


@instead_of("model:JanusFlow.align_out")
def align_out(self, hidden, skip):
    back = self.vision_gen_dec_aligner(self.vision_gen_dec_aligner_norm(hidden[:, :-1]))
    return rearrange(back, "r (h w) C -> r C h w", **parse_shape(skip, "_ _ h w"))
