"""Times are rounded down to whole numbers, as in diffusion models with 1000 discrete steps.

With 30 steps the network is told 33 in place of 33.3. The bug hides wherever 1000 / S is a whole number.
"""

from museum.plant import Change

CHANGES = [Change("exercises.broken.own_loop:draw", right="1000 * k // steps", wrong="1000 * k / steps")]
