"""Prompts that are to be dropped in training are kept.

The mask of dropped prompts is drawn, handed on and never used. Nothing fails, and the loss falls as before, even a
little lower. But the network never learns the velocity without a prompt, and guidance extrapolates from numbers that
mean nothing. The pictures here do not change, because the bundled model is already trained.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "prompt:PromptPair.with_prompt_dropout",
        right="number * dropped",
        wrong="0 * dropped",
    ),
]
