"""The network is told t, not 1000 t.

The factor 1000 comes from the thousand steps of DDPM. Rectified flow has no such steps, so the factor is easy to
forget. The sinusoidal embedding then hardly changes between t = 0 and t = 1, and every step looks to the network like
pure noise. The pictures show blurred blobs.
"""

from museum.plant import instead_of


@instead_of("model:JanusFlow.encode")
def encode(self, z, t):
    return self.vision_gen_enc_model(z.to(self.dtype), t.to(z.device).expand(len(z)))
