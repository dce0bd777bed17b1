"""Sine first.

The same numbers in another order, and a trained network reads them as another time. A port that swapped the halves was
off by 37 % and drew a crowd of tiled cats: https://github.com/flashinfer-ai/flashinfer/pull/3819.
"""

from museum.plant import instead_of

from janus_minimal.uvit import sinusoids as cosine_first


@instead_of("uvit:sinusoids")
def sinusoids(timestep, channels):
    return cosine_first(timestep, channels).roll(channels // 2, dims=-1)
