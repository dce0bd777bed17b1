"""9. What the two rows may attend to.

Law      cond may attend to ids[:-1], uncond to ids[:1], and both to all new tokens.
Hint     rows.ids and rows.mask(n), for n new tokens, have two rows. Index the ids with the mask's first L columns.
Catches  last_prompt_token_kept, unconditional_row_keeps_the_words, mask_shifted_by_one
"""

import torch
from exercises.start import not_attempted

from janus_minimal import PromptPair


def test_the_rows_show_the_words_and_the_first_token():
    rows = PromptPair.from_ids([torch.tensor([1, 5, 6, 7])]).rows
    not_attempted()  # replace this line by the law
