"""The pair of rows: with the words, and without them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from janus_minimal import PromptPair
from janus_minimal.errors import PromptError

PROMPTS = st.lists(st.lists(st.integers(3, 90), min_size=2, max_size=12), min_size=1, max_size=4)


def pair(prompts, images=1, pad_id=0):
    return PromptPair.from_ids([torch.tensor(ids) for ids in prompts], images, pad_id)


@given(prompts=PROMPTS)
def test_the_last_token_is_dropped_and_the_rest_kept(prompts):
    """Conditional row: ids[:-1], right-aligned; the time token takes the last one's place."""
    rows = pair(prompts).rows
    for row, visible, ids in zip(rows.ids, rows.visible, prompts, strict=False):
        assert row[visible].tolist() == ids[:-1]
        assert visible.tolist() == sorted(visible.tolist())


@given(prompts=PROMPTS)
def test_the_unconditional_row_shows_the_first_token_alone(prompts):
    """visible = {first token}; its words' places hold padding, hidden."""
    rows = pair(prompts).rows
    for row, visible, ids in zip(rows.ids[len(prompts) :], rows.visible[len(prompts) :], prompts, strict=True):
        assert row[visible].tolist() == ids[:1]
        assert (row[~visible] == 0).all()


@given(prompts=PROMPTS, new=st.integers(1, 5))
def test_each_row_stands_where_it_would_stand_alone(prompts, new):
    """Positions 0..L-1 for the words and L..L+n-1 for the new tokens, hidden or not: hiding does not renumber."""
    rows = pair(prompts).rows
    after = rows.new_positions(new)
    for i, ids in enumerate(prompts * 2):
        length = len(ids) - 1
        assert rows.positions[i, -length:].tolist() == list(range(length))
        assert after[i].tolist() == list(range(length, length + new))


@given(prompts=PROMPTS, images=st.integers(1, 3))
def test_images_of_one_prompt_stand_together(prompts, images):
    """Row (p k + i) of either half is prompt p's."""
    prompt = pair(prompts, images)
    batch = prompt.batch()
    assert len(batch.ids) == 2 * prompt.images == 2 * images * len(prompts)
    for row in range(2 * prompt.images):
        assert torch.equal(batch.ids[row], prompt.rows.ids[row // images])


@given(prompts=PROMPTS)
def test_training_drops_whole_rows(prompts):
    """drop(d)[p] = uncond[p] where d, else cond[p]."""
    prompt = pair(prompts)
    dropped = torch.arange(len(prompts)) % 2 == 0
    for i, row in enumerate(prompt.drop(dropped).visible):
        assert torch.equal(row, prompt.rows.visible[i + len(prompts) * bool(dropped[i])])


@pytest.mark.parametrize(("prompts", "images"), [([], 1), ([[1, 2]], 0), ([[1]], 1)])
def test_nothing_to_ask_for_is_an_error(prompts, images):
    """At least one prompt of at least two tokens, and at least one image."""
    with pytest.raises(PromptError):
        pair(prompts, images)


def test_an_unknown_word_is_named_with_the_known_ones(pipe):
    """The small tokenizer knows some thirty words, and says so."""
    with pytest.raises(PromptError, match=r'does not know "pink"; it knows: a, above, an, .*yellow'):
        PromptPair.from_text("a pink circle", pipe.tokenizer)


def test_an_empty_caption_is_an_error(pipe):
    """Nothing but spaces says nothing."""
    with pytest.raises(PromptError, match="empty"):
        PromptPair.from_text("  ", pipe.tokenizer)


def test_the_chat_template_surrounds_the_caption(pipe):
    """bos, user:, the words, assistant:; <begin_of_image> is the last token, so it is the one that is dropped."""
    ids = PromptPair.from_text(" a red circle ", pipe.tokenizer).rows.ids[0]
    words = ["<｜begin▁of▁sentence｜>", "user:", "a", "red", "circle", "assistant:"]
    assert pipe.tokenizer.convert_ids_to_tokens(ids) == words
