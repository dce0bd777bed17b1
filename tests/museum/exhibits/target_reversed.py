"""The training target points from data to noise.

Codes that count the noise level sigma = 1 - t learn z_0 - z_1, and diffusers' schedulers expect this sign. Here time
rises towards the data, so the target is z_1 - z_0. The loss does not show the mistake, because the network learns the
wrong sign as easily. The sampler then walks away from the data. The pictures here do not change, because the bundled
model is already trained.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "flow:interpolate",
        right="return z_t, z_1 - z_0",
        wrong="return z_t, z_0 - z_1",
    ),
]
