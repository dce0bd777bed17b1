"""The skip is normalised together with the language model's output.

It is one line shorter to concatenate both and to normalise them then. But `input_norm` learned its weights, one for
each channel, for what comes back from the language model. They do not fit the skip. In the pictures, colours are wrong
and edges are deformed. The norm also removes the length of the skip's vectors, which tells the decoder how noisy the
latent is. The chapter on the U-ViT removed this length alone: the pictures looked right, and only the loss rose.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "uvit:ShallowUViTDecoder.forward",
        right="torch.cat([norm_over_channels(self.input_norm, x), skip], dim=1)",
        wrong="torch.cat([norm_over_channels(self.input_norm, part) for part in (x, skip)], dim=1)",
    ),
]
