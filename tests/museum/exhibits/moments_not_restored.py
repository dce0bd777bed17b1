"""A resumed run starts with new optimiser moments.

Weights and average are saved, but the optimiser's moments are not. After resuming, the first steps are aimed by very
few gradients, and the loss jumps. Many training scripts save only `model.state_dict()`. The pictures here do not
change, because the bundled model is already trained.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "training.learner:Learner._tensors",
        right="for j, optimizer in enumerate(self.optimizers):",
        wrong="for j, optimizer in enumerate(()):",
    ),
]
