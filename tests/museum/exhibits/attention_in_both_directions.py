"""Every token may attend to every other: the mask is not causal.

Diffusion transformers use attention in both directions, and a mask with four axes replaces transformers' causal one. In
JanusFlow, attention is causal for image tokens too: a patch attends only to patches that come before it, row by row.
The weights were trained that way. Without a cache, even the prompt then sees the noise. In the pictures, colours
are slightly wrong.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "model:JanusFlow._llama",
        right="attention_mask=mask,",
        wrong="attention_mask=mask[:, None, None].expand(-1, 1, inputs.shape[1], -1),",
    ),
]
