"""The skip connection starts before the encoder's blocks.

A U-Net would take it there, so the mistake looks natural. In JanusFlow, the skip is the output of the encoder's blocks,
and the decoder was trained with that. All shapes fit. In the pictures, the edges of objects are deformed and have wrong
colours.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "uvit:ShallowUViTEncoder.forward",
        right="""x_emb = self.mid_block(self.in_conv(z), t_emb)  # b C h w
        return x_emb, t_emb, x_emb""",
        wrong="""patches = self.in_conv(z)
        return self.mid_block(patches, t_emb), t_emb, patches""",
    ),
]
