"""The denoised prediction uses t where 1 - t is meant.

The denoised prediction is z + (1 - t) v, the end of a straight path from here. It is easy to write t instead of 1 - t.
The final picture is still right, because the loop does not use this value. But a film of the predictions shows noise at
first and goes beyond the picture at the end.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "sampling:Step.denoised",
        right="(1 - self.t) * self.v",
        wrong="self.t * self.v",
    ),
]
