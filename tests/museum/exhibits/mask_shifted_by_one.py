"""The attention mask is shifted by one token.

This happens if a mask for L tokens is joined to tokens that were counted as L + 1. In an unconditional row, a padding
token can then be attended to, and the time token is masked. A row without masked tokens does not change, so a test with
one conditional row finds nothing. No difference can be seen in the pictures.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "prompt:PromptRows.mask",
        right="torch.cat([self.attention_mask, self.attention_mask.new_ones(len(self.ids), new)], 1)",
        wrong="""torch.cat(
            [
                self.attention_mask.new_ones(len(self.ids), 1),
                self.attention_mask,
                self.attention_mask.new_ones(len(self.ids), new - 1),
            ],
            1,
        )""",
    ),
]
