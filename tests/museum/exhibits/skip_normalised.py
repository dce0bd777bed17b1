"""The skip is normalised together with what comes back.

Concatenating first and normalising then is one line shorter; but the skip is the latent as the encoder saw it,
and its length means something.
"""

import torch
from museum.plant import instead_of

from janus_minimal.uvit import norm_over_channels


@instead_of("uvit:ShallowUViTDecoder.forward")
def forward(self, x, t_emb, skip):
    x = torch.cat([norm_over_channels(self.input_norm, x), norm_over_channels(self.input_norm, skip)], dim=1)
    x = self.mid_block(x, t_emb)
    for unpatch in self.out_convs:
        x = unpatch(x)
    return x
