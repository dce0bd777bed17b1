"""The skip is taken before the encoder's blocks.

As a U-Net would take it. Here the skip is what the blocks made of the latent, and the decoder was trained to get that.
"""

from museum.plant import instead_of


@instead_of("uvit:ShallowUViTEncoder.forward")
def forward(self, z, timestep):
    t_emb, patches = self.time_embed(timestep), self.in_conv(z)
    return self.mid_block(patches, t_emb), t_emb, patches
