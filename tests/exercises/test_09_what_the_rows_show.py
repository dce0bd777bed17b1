"""9. What the two rows show.

Law      cond shows ids[:-1]; uncond shows ids[:1]; after them all new tokens are seen.
Hint     prompt.rows has two rows here: ids, and mask(n) for n new tokens. Index the ids with its first L columns.
Catches  last_prompt_token_kept, unconditional_row_keeps_the_words, mask_shifted_by_one
"""

import torch
from exercises.start import not_attempted

from janus_minimal import PromptPair


def test_the_rows_show_the_words_and_the_first_token():
    rows = PromptPair.from_ids([torch.tensor([1, 5, 6, 7])]).rows
    not_attempted()  # replace this line by the law
