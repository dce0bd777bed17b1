"""The denoised prediction goes t of the way instead of the rest of the way.

The denoised prediction is z + (1 - t) v, the end of a straight path from here. It is easy to write t for 1 - t. The
final picture is still right, because the loop does not use this value. But a film of the predictions shows noise at
first and goes beyond the picture at the end.
"""

from museum.plant import instead_of


@instead_of("sampling:Step.denoised")
def denoised(self):
    return self.z + self.t * self.v
