"""Positions are counted from the left edge, padding included.

If no position_ids are given, Llama counts every token of a row. A short prompt in a batch then begins at position 7,
say, instead of 0: https://github.com/huggingface/transformers/issues/33095. RoPE depends only on differences of
positions, so no velocity and no picture changes here. Only a law about the positions themselves finds the bug. In a
model with learned position embeddings, the results would be wrong.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "prompt:PromptPair.from_ids",
        right='repeat((column - left).clamp(min=0), "P L -> (two P) L", two=2)',
        wrong='repeat(column, "L -> rows L", rows=2 * len(ids))',
    ),
]
