"""2. The mean velocity of two data points.

A network that minimises the squared error predicts the mean of all targets that belong to one point and time. For a
small data set this mean can be computed by hand. The data are -1 and +1, equally often, and the noise is N(0, 1). Then

    E[z_1 | z_t = z]    = tanh(t z / (1 - t)^2)
    E[target | z_t = z] = (E[z_1 | z_t = z] - z) / (1 - t)

The file draws 400,000 lines with `interpolate`, half of them at t = 0.25, half at t = 0.5. z_t and target have the
shape [400000, 1], and t has [400000], so select with z_t[:, 0]. Select the lines with |z_t - 0.5| < 0.05 and check the
mean of their targets, at both times. It is a mean of some thousand random numbers, so allow for an error of 0.1.
"""

import torch
from exercises.start import not_attempted

from janus_minimal import interpolate


def test_the_mean_target_is_the_velocity_of_the_flow():
    z_0, z_1 = torch.randn(400_000, 1), torch.randint(2, (400_000, 1)) * 2.0 - 1  # noise, and data: -1 or +1
    t = torch.tensor([0.25, 0.5]).repeat(200_000)
    z_t, target = interpolate(z_0, z_1, t)  # 400000 1 each
    not_attempted()  # replace this line by the law
