"""Training computes the average of the weights and returns the last weights.

The exponential moving average (EMA) is updated at every step, saved, restored, and then forgotten in the last line. The
model is somewhat worse, as if the average had never been invented. The pictures here do not change, because the bundled
model is already trained.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "training.loop:fit",
        right="return cast(Network, learner.average.module)",
        wrong="return network",
    ),
]
