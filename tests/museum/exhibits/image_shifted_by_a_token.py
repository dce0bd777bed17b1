"""The last hidden state is dropped instead of the first.

In text, the hidden state of token j predicts token j + 1, so code for language models drops the last one. Here each
image token's hidden state describes its own patch, and the one to drop is the time token's, the first. Dropping the
last one moves all patches by one token. The pictures are then almost empty.
"""

from einops import parse_shape, rearrange
from museum.plant import instead_of


@instead_of("model:JanusFlow.align_out")
def align_out(self, hidden, skip):
    back = self.vision_gen_dec_aligner(self.vision_gen_dec_aligner_norm(hidden[:, :-1]))
    return rearrange(back, "r (h w) C -> r C h w", **parse_shape(skip, "_ _ h w"))
