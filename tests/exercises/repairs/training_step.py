"""Any dropped prompt drops all.

With 32 examples in a batch and one prompt in ten dropped, all prompts are dropped in 97 % of the steps. So the network
hardly ever sees a prompt, and both velocities of guidance are nearly the same.
"""

from museum.plant import Change

CHANGES = [
    Change("exercises.broken.training_step:training_loss", right="number * dropped.any()", wrong="number * dropped"),
]
