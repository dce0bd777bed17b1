"""The learning rate of the first step is zero.

Schedulers count from 0, so step / warmup is zero at the first step: a step's work without any effect. transformers'
`get_cosine_schedule_with_warmup` does this. The harm is small, and it is a different run. The pictures here do not
change, because the bundled model is already trained.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "training.recipe:Recipe.learning_rate_at",
        right="(step + 1) / self.warmup",
        wrong="step / self.warmup",
    ),
]
