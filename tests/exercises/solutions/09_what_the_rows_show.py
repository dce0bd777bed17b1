"""9. What the two rows may attend to.

Catches  last_prompt_token_kept, unconditional_row_keeps_the_words, mask_shifted_by_one
"""

import torch

from janus_minimal import PromptPair


def test_the_rows_show_the_words_and_the_first_token():
    rows = PromptPair.from_ids([torch.tensor([1, 5, 6, 7])]).rows
    mask = rows.mask(2)
    assert rows.ids[0][mask[0, :-2]].tolist() == [1, 5, 6]
    assert rows.ids[1][mask[1, :-2]].tolist() == [1]
    assert mask[:, -2:].all()
