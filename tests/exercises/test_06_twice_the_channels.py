"""6. Twice the channels: the same frequencies, and new ones between them.

Law      every second cosine of sinusoids(s, 2 C) = the cosines of sinusoids(s, C).
Hint     f_i = 10000^(-i / half). If half doubles, frequency i becomes frequency 2 i. Slice with [start:stop:2].
Catches  frequencies_one_too_few
"""

import torch
from exercises.start import not_attempted

from janus_minimal.uvit import sinusoids


def test_more_channels_fill_the_gaps():
    s = torch.tensor([123.0])
    not_attempted()  # replace this line by the law
