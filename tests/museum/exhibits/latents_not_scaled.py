"""A picture's latent is not multiplied by the scaling factor.

Decoding divides by the factor, so encoding must multiply by it. If this is forgotten, the flow starts or is trained
with latents of another variance than the noise: for SDXL's VAE they are 7.7 times too large. Decoding what was encoded
then gives a wrong picture. The pictures here do not change, because they begin with noise.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "loading.vae:encode_picture",
        right="(mean * vae.config.scaling_factor)",
        wrong="mean",
    ),
]
