"""The frequencies are spread over half - 1 gaps, not over half.

The exponent of the frequencies is divided by half in JanusFlow. The first diffusion code divides by half - 1, and many
later codes copied it; diffusers has an option for this: https://github.com/hojonathanho/diffusion/issues/15. All shapes
fit, and the pictures look almost the same. Only a comparison of numbers shows the bug.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "uvit:sinusoids",
        right="device=timestep.device) / half",
        wrong="device=timestep.device) / max(half - 1, 1)",
    ),
]
