"""Sine comes first in the embedding of the time, and cosine second.

The original transformer begins with the sine, JanusFlow with the cosine, so code that is copied can have the wrong
order. The numbers are the same, but a trained network reads them as another time. A port that swapped the halves was
off by 37 % and drew a crowd of tiled cats: https://github.com/flashinfer-ai/flashinfer/pull/3819. In the pictures here,
objects have wrong colours or stand in wrong places.
"""

from museum.plant import instead_of

from janus_minimal.uvit import sinusoids as cosine_first


@instead_of("uvit:sinusoids")
def sinusoids(timestep, channels):
    return cosine_first(timestep, channels).roll(channels // 2, dims=-1)
