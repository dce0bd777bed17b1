"""The decoder joins the language model's output and the skip without normalising the first.

The language model already ends in a norm, so another one looks superfluous. But the linear aligner between the two
changes the scale again, and the decoder was trained with normalised input. All shapes fit. In the pictures, colours and
edges are wrong, and there is an object too many.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "uvit:ShallowUViTDecoder.forward",
        right="norm_over_channels(self.input_norm, x), skip",
        wrong="x, skip",
    ),
]
