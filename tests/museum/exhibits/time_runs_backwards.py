"""t from 1 down to 0.

Half of the field lets sigma = 1 - t fall from noise to data, the other half lets t rise, and shared solvers meet both:
https://github.com/huggingface/lerobot/pull/4075.
"""

from museum.plant import instead_of

from janus_minimal.flow import time_grid as rising


@instead_of("flow:time_grid")
def time_grid(steps, shift=1.0):
    return rising(steps, shift).flip(0)
