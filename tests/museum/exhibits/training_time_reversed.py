"""Training puts the data at t = 0.

Papers differ: Stable Diffusion 3 has the data at t = 0, JanusFlow has the noise there. The loss does not show the
mistake; it falls as well as before. But the sampler starts with noise at t = 0, where the network has learned to expect
data. The pictures here do not change, because the bundled model is already trained.
"""

from museum.plant import instead_of


@instead_of("flow:interpolate")
def interpolate(z_0, z_1, t):
    t = t.reshape(-1, *[1] * (z_0.ndim - 1))
    return t * z_0 + (1 - t) * z_1, z_1 - z_0
