"""Prompts are dropped where they should be kept.

A mask that says "dropped" is read as "kept". Then nine prompts in ten are dropped, and one in ten is learned. The loss
falls, but the pictures hardly follow their captions. The pictures here do not change, because the bundled model is
already trained.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "prompt:PromptPair.with_prompt_dropout",
        right="number * dropped",
        wrong="number * ~dropped",
    ),
]
