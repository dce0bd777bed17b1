"""Latents are multiplied by the scaling factor before decoding.

Encoding multiplies latents by the scaling factor, so decoding must divide by it. Some codes write 1 / 0.18215 instead,
and some define the factor the other way round: https://github.com/Project-MONAI/GenerativeModels/pull/214,
https://github.com/hpcaitech/Open-Sora/issues/838. In the pictures, the objects are in the right places but have wrong
colours.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "loading.vae:to_pictures",
        right="/ vae.config.scaling_factor",
        wrong="* vae.config.scaling_factor",
    ),
]
