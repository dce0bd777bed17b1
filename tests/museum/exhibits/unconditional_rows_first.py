"""The unconditional rows come first, where the conditional ones are expected.

diffusers puts the unconditional half of the batch first, the official JanusFlow code the conditional half. If the
halves are swapped, guidance pushes away from the prompt: https://github.com/bghira/SimpleTuner/pull/179. The pictures
show other shapes and colours than the caption says.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "prompt:PromptPair.from_ids",
        right="torch.cat([cond, uncond])",
        wrong="torch.cat([uncond, cond])",
    ),
    Change(
        "prompt:PromptPair.from_ids",
        right="torch.cat([column >= left, column == left])",
        wrong="torch.cat([column == left, column >= left])",
    ),
]
