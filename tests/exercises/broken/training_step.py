"""A training step with one wrong line, for exercise 14."""

import torch

from janus_minimal import interpolate


def training_loss(network, pair, z_0, z_1, t, dropped):
    """Return the loss of one batch: the mean squared error of the predicted velocity.

    z_0 is noise and z_1 are latents, both [b, c, H, W]. t [b] is a time for each example. pair holds the b prompts: b
    conditional rows, then b unconditional ones. dropped [b] is True for the examples that are to be learned without
    their prompt, about one in ten.
    """
    z_t, target = interpolate(z_0, z_1, t)
    number = len(dropped)
    rows = pair.rows[torch.arange(number) + number * dropped.any()]
    return (network(z_t, t, rows) - target).square().mean()
