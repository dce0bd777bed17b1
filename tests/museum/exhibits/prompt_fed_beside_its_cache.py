"""The prompt is cached, and still fed in every step.

A loop that is passed around as the repair of the official one does this. It runs without an error. But the prompt is in
the sequence twice, and the attention mask no longer fits the tokens. On random weights, the latent is off by 11 % with
8 prompt tokens and by 29 % with 21. In the pictures, objects stand in other places.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "model:JanusFlow.backbone",
        right="""            positions = torch.cat([rows.positions, positions], dim=1)  # r L+n
""",
        wrong="""            positions = torch.cat([rows.positions, positions], dim=1)  # r L+n
        else:
            tokens = torch.cat([self._embed(rows), tokens], dim=1)
            mask, positions = rows.mask(tokens.shape[1]), rows.new_positions(tokens.shape[1])
""",
    ),
]
