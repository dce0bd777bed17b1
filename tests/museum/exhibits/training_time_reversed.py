"""Training with t at the data's end.

Papers put t = 0 at the data (Stable Diffusion 3) or at the noise (this one). A loss does not tell the difference:
it falls just as well, and the sampler that then starts at t = 0 is asked for the wrong half of the way.
"""

from museum.plant import instead_of


@instead_of("flow:interpolate")
def interpolate(z_0, z_1, t):
    t = t.reshape(-1, *[1] * (z_0.ndim - 1))
    return t * z_0 + (1 - t) * z_1, z_1 - z_0
