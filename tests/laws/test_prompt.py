"""The pair of rows: with the words, and without them."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tools.drawn import PROMPTS, SEEDS, normal, pair
from tools.official_tokenizer import BOS, EOS, GENERATION, IMAGE, PAD, write_tokenizer
from transformers import AutoTokenizer, PreTrainedConfig

from janus_minimal import PromptPair
from janus_minimal.errors import CheckpointError, PromptError
from janus_minimal.loading.tokenizer import check_tokenizer
from janus_minimal.prompt import TEMPLATE

T = torch.tensor(0.4)


@given(prompts=PROMPTS)
def test_the_last_token_is_dropped_and_the_rest_kept(prompts):
    """cond = ids[:-1], right-aligned.

    The time token takes the last one's place, right before the image.
    """
    rows = pair(prompts).rows
    for row, visible, ids in zip(rows.ids, rows.attention_mask, prompts, strict=False):
        assert row[visible].tolist() == ids[:-1]
        assert visible.tolist() == sorted(visible.tolist())


@given(prompts=PROMPTS)
def test_the_unconditional_row_shows_the_first_token_alone(prompts):
    """visible(uncond) = {first token}.

    Its words' places hold padding, and are hidden on top.
    """
    rows = pair(prompts).rows
    for row, visible, ids in zip(rows.ids[len(prompts) :], rows.attention_mask[len(prompts) :], prompts, strict=True):
        assert row[visible].tolist() == ids[:1]
        assert (row[~visible] == 0).all()


@given(prompts=PROMPTS, seed=SEEDS)
def test_the_unconditional_row_knows_the_number_of_words_alone(prompts, seed):
    """uncond(words) = uncond(other words), as many.

    So guidance compares the words with no words, not with other words.
    """
    words = torch.Generator().manual_seed(seed)
    others = [[ids[0], *torch.randint(3, 90, (len(ids) - 1,), generator=words).tolist()] for ids in prompts]
    half = len(prompts)
    rows, other_rows = pair(prompts).rows, pair(others).rows
    assert torch.equal(rows.ids[half:], other_rows.ids[half:])
    assert torch.equal(rows.attention_mask[half:], other_rows.attention_mask[half:])
    assert torch.equal(rows.positions, other_rows.positions)


@given(prompts=PROMPTS, new=st.integers(1, 5))
def test_each_row_stands_where_it_would_stand_alone(prompts, new):
    """positions = 0 .. L-1 for the words, L .. L+n-1 for the n new tokens.

    Hiding does not renumber, and neither does padding on the left.
    """
    rows = pair(prompts).rows
    after = rows.new_positions(new)
    for i, ids in enumerate(prompts * 2):
        length = len(ids) - 1
        assert rows.positions[i, -length:].tolist() == list(range(length))
        assert after[i].tolist() == list(range(length, length + new))
    assert (rows.positions >= 0).all()


@given(prompts=PROMPTS, new=st.integers(1, 5))
def test_new_tokens_are_always_seen(prompts, new):
    """mask(n) = [visible ; 1 ... 1].

    What is hidden is hidden in the prompt alone.
    """
    rows = pair(prompts).rows
    mask = rows.mask(new)
    assert torch.equal(mask[:, :-new], rows.attention_mask)
    assert mask[:, -new:].all()


@given(prompts=PROMPTS, images=st.integers(1, 3))
def test_images_of_one_prompt_stand_together(prompts, images):
    """batch row (p k + i) of either half = prompt p's row.

    B conditional rows, then B unconditional ones, so that chunk(2) parts them.
    """
    prompt = pair(prompts, images)
    batch = prompt.batch()
    assert len(batch.ids) == 2 * prompt.num_images == 2 * images * len(prompts)
    for row in range(2 * prompt.num_images):
        assert torch.equal(batch.ids[row], prompt.rows.ids[row // images])


@given(prompts=PROMPTS)
def test_one_image_of_each_unless_more_are_asked_for(prompts):
    """from_ids(ids) = from_ids(ids, images = 1, pad = 0).

    What most people want is what they get when they say nothing.
    """
    prompt = PromptPair.from_ids([torch.tensor(ids) for ids in prompts])
    assert prompt.num_images == len(prompts)
    assert (prompt.rows.ids[~prompt.rows.attention_mask] == 0).all()


@given(prompts=PROMPTS)
def test_a_pair_does_not_change(prompts):
    """pair.rows = other, pair.rows.ids = other  =>  error.

    A cache that was filled from a pair would not notice.
    """
    prompt = pair(prompts)
    with pytest.raises(FrozenInstanceError):
        prompt.rows = prompt.rows
    with pytest.raises(FrozenInstanceError):
        prompt.rows.ids = prompt.rows.ids


@given(prompts=PROMPTS)
def test_training_drops_whole_rows(prompts):
    """drop(d)[p] = uncond[p] where d[p], else cond[p].

    Training learns the very rows that guidance will ask for.
    """
    prompt = pair(prompts)
    dropped = torch.arange(len(prompts)) % 2 == 0
    for i, row in enumerate(prompt.with_prompt_dropout(dropped).attention_mask):
        assert torch.equal(row, prompt.rows.attention_mask[i + len(prompts) * bool(dropped[i])])


@given(prompts=PROMPTS, seed=SEEDS)
def test_hidden_places_carry_no_gradient(model, prompts, seed):
    """d v / d embedding[pad] = 0.

    Padding stands in hidden places alone, so nothing flows through it.
    """
    v = model.velocity(normal(seed, len(prompts), 4, 12, 12), T, pair(prompts))
    table = model.llama.embed_tokens.weight
    (gradient,) = torch.autograd.grad(v[0].square().mean() + v[1].square().mean(), [table])
    assert not gradient[0].any()
    assert gradient[prompts[0][0]].any()


@given(prompts=PROMPTS, pad_id=st.integers(1, 2), seed=SEEDS)
def test_the_padding_id_does_not_matter(model, prompts, pad_id, seed):
    """v(pad = a) = v(pad = b).

    Padding is hidden in every row, so its embedding reaches nothing.
    """
    z = normal(seed, len(prompts), 4, 12, 12)
    with torch.no_grad():
        a, b = (torch.stack(model.velocity(z, T, pair(prompts, pad_id=pad))) for pad in (0, pad_id))
    assert torch.equal(a, b)


@pytest.mark.parametrize(("prompts", "images"), [([], 1), ([[1, 2]], 0), ([[1]], 1)])
def test_nothing_to_ask_for_is_an_error(prompts, images):
    """P >= 1, L >= 1, k >= 1.

    At least one prompt of at least two tokens, and at least one image.
    """
    with pytest.raises(PromptError):
        pair(prompts, images)


def test_an_unknown_word_is_named_with_the_known_ones(pipe):
    """first word not in vocabulary  =>  PromptError.

    The small tokenizer knows some thirty words, and says which.
    """
    with pytest.raises(PromptError, match=r'does not know "pink"; it knows: a, above, an, .*yellow'):
        PromptPair.from_text("a pink and mauve circle", pipe.tokenizer)


def test_an_empty_caption_is_an_error(pipe):
    """ "" =>  PromptError.

    Nothing but spaces says nothing.
    """
    with pytest.raises(PromptError, match="empty"):
        PromptPair.from_text("  ", pipe.tokenizer)


def test_the_chat_template_surrounds_the_caption(pipe):
    """ids = [bos, user:, words, assistant:, <begin_of_image>], the last dropped.

    The official template, filled with the caption stripped of spaces.
    """
    ids = PromptPair.from_text(" a red circle ", pipe.tokenizer).rows.ids[0]
    words = ["<｜begin▁of▁sentence｜>", "user:", "a", "red", "circle", "assistant:"]
    assert pipe.tokenizer.convert_ids_to_tokens(ids) == words


@pytest.fixture
def official(tmp_path):
    """A tokenizer of the official format, read as a user's is, without the tokens that are named."""

    def read(*without):
        write_tokenizer(tmp_path, without)
        return AutoTokenizer.from_pretrained(tmp_path, config=PreTrainedConfig(), local_files_only=True)

    return read


def test_the_official_format_is_read_to_the_byte(official, tmp_path):
    """AutoTokenizer(files).encode = the file's own tokenizer.

    Its config names a class that cuts words otherwise; the file decides.
    """
    tokenizer, raw = official(), write_tokenizer(tmp_path)
    for caption in ("a red circle", "über 3 bicycles,\n  in the rain", "圖"):
        text = TEMPLATE.format(prompt=caption)
        assert tokenizer.encode(text) == raw.encode(text).ids
    check_tokenizer(tokenizer, len(tokenizer))
    assert PromptPair.from_text("a red bicycle", tokenizer).rows.ids[0, 0] == raw.token_to_id(BOS)


def test_either_tag_gives_the_same_rows(official):
    """rows(... <begin_of_image>) = rows(... <generation tag>).

    Whichever stands last is dropped, so that its place is the time's: both give the same picture.
    """
    tokenizer = official()
    texts = [TEMPLATE.format(prompt="a red circle").replace(IMAGE, tag) for tag in (IMAGE, GENERATION)]
    a, b = (PromptPair.from_ids([torch.tensor(tokenizer.encode(text))], pad_id=0).rows for text in texts)
    assert tokenizer.encode(texts[0]) != tokenizer.encode(texts[1])
    assert torch.equal(a.ids, b.ids)
    assert torch.equal(a.attention_mask, b.attention_mask)


@pytest.mark.parametrize(
    ("without", "said"),
    [([IMAGE], f"no token {IMAGE}"), ([BOS], "begins no text"), ([PAD, EOS], "neither a padding token")],
)
def test_a_tokenizer_without_a_token_that_is_needed_is_refused(official, without, said):
    """tag, beginning and padding in vocabulary, else CheckpointError.

    Without the tag a piece of a word would be dropped; without a beginning the row without words would keep one.
    """
    tokenizer = official(*without)
    with pytest.raises(CheckpointError, match=said):
        check_tokenizer(tokenizer, len(tokenizer))


@pytest.mark.parametrize("other", [EOS, "a"])
def test_a_tokenizer_that_begins_with_another_token_than_its_own_is_refused(official, other):
    """encode(text)[0] = bos, else CheckpointError.

    Else the row without words would keep the first word.
    """
    tokenizer = official()
    tokenizer.bos_token = other
    with pytest.raises(CheckpointError, match="begins no text"):
        check_tokenizer(tokenizer, len(tokenizer))


def test_without_a_padding_token_the_end_of_the_sentence_pads(official):
    """pad = eos where there is no pad.

    The official fallback; it is hidden, and so does not matter.
    """
    tokenizer = official(PAD)
    check_tokenizer(tokenizer, len(tokenizer))
    rows = PromptPair.from_text("a red circle", tokenizer).rows
    assert (rows.ids[~rows.attention_mask] == tokenizer.convert_tokens_to_ids(EOS)).all()


def test_a_tokenizer_of_more_tokens_than_the_model_is_refused(official):
    """tokens(tokenizer) <= vocab_size, else CheckpointError.

    An id without an embedding would be an error deep in the first step.
    """
    tokenizer = official()
    check_tokenizer(tokenizer, len(tokenizer) + 1)  # spare embeddings are usual
    with pytest.raises(CheckpointError, match=r"319 tokens, the model knows 318"):
        check_tokenizer(tokenizer, len(tokenizer) - 1)
