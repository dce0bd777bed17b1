"""The denoised prediction uses the conditional velocity, not the guided one.

The network's own output is at hand, and without guidance both are the same. With guidance the loop goes elsewhere than
the prediction says. The final picture is still right, because the loop does not use this value. A film of the
predictions shows a picture that is never drawn.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "sampling:Step.denoised",
        right="(1 - self.t) * self.v",
        wrong="(1 - self.t) * self.v_cond",
    ),
]
