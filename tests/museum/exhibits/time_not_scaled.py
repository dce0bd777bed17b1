"""The network is told t, not 1000 t.

The factor 1000 comes from the thousand steps of DDPM. Rectified flow has no such steps, so the factor is easy to
forget. The sinusoidal embedding then hardly changes between t = 0 and t = 1, and every step looks to the network like
pure noise. The pictures show blurred blobs.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "model:JanusFlow.encode",
        right="1000 * t.to(z.device)",
        wrong="t.to(z.device)",
    ),
]
