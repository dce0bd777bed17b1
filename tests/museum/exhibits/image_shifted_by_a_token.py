"""The last hidden state is dropped instead of the first.

In text, the hidden state of token j predicts token j + 1, so code for language models drops the last one. Here each
image token's hidden state describes its own patch, and the one to drop is the time token's, the first. Dropping the
last one moves all patches by one token. The pictures are then almost empty.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "model:JanusFlow.align_out",
        right="hidden[:, 1:]",
        wrong="hidden[:, :-1]",
    ),
]
