"""The guess goes t of the way instead of the rest of it.

z + (1 - t) v is the end of the line. With t for 1 - t the film strip shows noise at first and overshoots at last.
"""

from museum.plant import instead_of


@instead_of("sampling:Step.denoised")
def denoised(self):
    return self.z + self.t * self.v
