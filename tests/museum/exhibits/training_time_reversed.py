"""Training puts the data at t = 0.

Papers differ: Stable Diffusion 3 has the data at t = 0, JanusFlow has the noise there. The loss does not show the
mistake; it falls as well as before. But the sampler starts with noise at t = 0, where the network has learned to expect
data. The pictures here do not change, because the bundled model is already trained.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "flow:interpolate",
        right='einsum(1 - t, z_0, "b, b ... -> b ...") + einsum(t, z_1, "b, b ... -> b ...")',
        wrong='einsum(t, z_0, "b, b ... -> b ...") + einsum(1 - t, z_1, "b, b ... -> b ...")',
    ),
]
