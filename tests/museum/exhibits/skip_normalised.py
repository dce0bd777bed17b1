"""The skip is normalised together with the language model's output.

It is one line shorter to concatenate both and to normalise them then. But the magnitude of the skip carries
information: it tells the decoder how noisy the latent is. Normalisation removes this information. In the pictures,
colours are wrong and edges are deformed.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "uvit:ShallowUViTDecoder.forward",
        right="torch.cat([norm_over_channels(self.input_norm, x), skip], dim=1)",
        wrong="torch.cat([norm_over_channels(self.input_norm, part) for part in (x, skip)], dim=1)",
    ),
]
