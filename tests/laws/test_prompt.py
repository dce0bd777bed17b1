"""The prompt pair: a conditional row with the prompt, and an unconditional row without it."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tools.drawn import PROMPTS, SEEDS, normal, pair
from tools.official_tokenizer import BOS, EOS, GENERATION, IMAGE, PAD, write_tokenizer
from transformers import AutoTokenizer, PreTrainedConfig

from janus_minimal import PromptPair
from janus_minimal.errors import CheckpointError, InputError, PromptError
from janus_minimal.loading.tokenizer import check_tokenizer
from janus_minimal.prompt import TEMPLATE

T = torch.tensor(0.4)


@given(prompts=PROMPTS)
def test_the_last_token_is_dropped_and_the_rest_kept(prompts):
    """cond = ids[:-1], right-aligned.

    The last token is <begin_of_image>, and the time token takes its place. The image tokens follow directly, so every
    prompt must end at the right edge of its row.
    """
    rows = pair(prompts).rows
    for row, visible, ids in zip(rows.ids, rows.attention_mask, prompts, strict=False):
        assert row[visible].tolist() == ids[:-1]
        assert visible.tolist() == sorted(visible.tolist())


@given(prompts=PROMPTS)
def test_the_unconditional_row_shows_the_first_token_alone(prompts):
    """attention_mask(uncond) = 1 at the first token, 0 at all others.

    The other prompt tokens are replaced by padding and masked as well. So no word of the prompt can reach the
    unconditional velocity.
    """
    rows = pair(prompts).rows
    for row, visible, ids in zip(rows.ids[len(prompts) :], rows.attention_mask[len(prompts) :], prompts, strict=True):
        assert row[visible].tolist() == ids[:1]
        assert (row[~visible] == 0).all()


@given(prompts=PROMPTS, seed=SEEDS)
def test_the_unconditional_row_knows_the_number_of_words_alone(prompts, seed):
    """uncond(prompt) = uncond(other prompt of the same length).

    The unconditional row depends on the length of the prompt, but not on its words. So guidance compares the prompt
    with no prompt, not with another prompt.
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
    """positions = 0 .. L-1 for the prompt, L .. L+n-1 for the n new tokens.

    Masked tokens keep their position indices, and padding on the left is not counted. So a prompt has the same
    positions in a batch as it has alone.
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
    """mask(n) = [attention_mask ; 1 ... 1].

    Only prompt tokens are ever masked. The time token and the image tokens may always be attended to.
    """
    rows = pair(prompts).rows
    mask = rows.mask(new)
    assert torch.equal(mask[:, :-new], rows.attention_mask)
    assert mask[:, -new:].all()


@given(prompts=PROMPTS, images=st.integers(1, 3))
def test_images_of_one_prompt_stand_together(prompts, images):
    """batch row (p k + i) of either half = prompt p's row.

    The images of one prompt are neighbours. The batch has B conditional rows, then B unconditional rows, so chunk(2)
    separates the two velocities.
    """
    prompt = pair(prompts, images)
    batch = prompt.batch()
    assert len(batch.ids) == 2 * prompt.num_images == 2 * images * len(prompts)
    for row in range(2 * prompt.num_images):
        assert torch.equal(batch.ids[row], prompt.rows.ids[row // images])


@given(prompts=PROMPTS)
def test_one_image_of_each_unless_more_are_asked_for(prompts):
    """from_ids(ids) = from_ids(ids, images = 1, pad = 0).

    The defaults are one image of each prompt, and 0 as the id that fills masked positions.
    """
    prompt = PromptPair.from_ids([torch.tensor(ids) for ids in prompts])
    assert prompt.num_images == len(prompts)
    assert (prompt.rows.ids[~prompt.rows.attention_mask] == 0).all()


@given(prompts=PROMPTS)
def test_a_pair_does_not_change(prompts):
    """assignment to pair.rows or pair.rows.ids  =>  FrozenInstanceError.

    A KV cache is filled from a pair once. If the pair changed afterwards, the cache would belong to another prompt, and
    no error would be raised.
    """
    prompt = pair(prompts)
    with pytest.raises(FrozenInstanceError):
        prompt.rows = prompt.rows
    with pytest.raises(FrozenInstanceError):
        prompt.rows.ids = prompt.rows.ids


@given(prompts=PROMPTS)
def test_training_drops_whole_rows(prompts):
    """drop(d)[p] = uncond[p] where d[p], else cond[p].

    Prompt dropout in training uses exactly the unconditional rows that guidance uses in sampling. So the network has
    been trained on both rows.
    """
    prompt = pair(prompts)
    dropped = torch.arange(len(prompts)) % 2 == 0
    for i, row in enumerate(prompt.with_prompt_dropout(dropped).attention_mask):
        assert torch.equal(row, prompt.rows.attention_mask[i + len(prompts) * bool(dropped[i])])


@given(prompts=PROMPTS, seed=SEEDS)
def test_hidden_places_carry_no_gradient(model, prompts, seed):
    """d v / d embedding[pad] = 0.

    Padding stands only at masked positions. No token attends to it, so no gradient reaches its embedding.
    """
    v = model.velocity(normal(seed, len(prompts), 4, 12, 12), T, pair(prompts))
    table = model.llama.embed_tokens.weight
    (gradient,) = torch.autograd.grad(v[0].square().mean() + v[1].square().mean(), [table])
    assert not gradient[0].any()
    assert gradient[prompts[0][0]].any()


@given(prompts=PROMPTS, pad_id=st.integers(1, 2), seed=SEEDS)
def test_the_padding_id_does_not_matter(model, prompts, pad_id, seed):
    """v(pad = a) = v(pad = b).

    Padding is masked in every row. No token attends to it, so its id does not change the velocity.
    """
    z = normal(seed, len(prompts), 4, 12, 12)
    with torch.no_grad():
        a, b = (torch.stack(model.velocity(z, T, pair(prompts, pad_id=pad))) for pad in (0, pad_id))
    assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("prompts", "images"),
    [([], 1), ([[1, 2]], 0), ([[1, 2]], -1), ([[1, 2]], 1.5), ([[1, 2]], "2"), ([[1]], 1), ([[1, 2], [1]], 1)],
)
def test_nothing_to_ask_for_is_an_error(unchecked, prompts, images):
    """P >= 1 prompts, L >= 1 tokens, k >= 1 images, a whole number; else InputError.

    L counts the tokens that remain after the last one is dropped. So each prompt needs at least two tokens.
    """
    with pytest.raises(InputError, match=r"expected|needs at least"):
        pair(prompts, images)


@pytest.mark.parametrize(
    "ids",
    [
        [[1, 5, 9]],
        torch.tensor([[1, 5, 9]]),
        [torch.tensor(5)],
        [torch.tensor([1.0, 5.0, 9.0])],
        [torch.tensor([True, False])],
        [torch.tensor([1, 5, 9]).short()],
        [torch.tensor([1, 5, 9]), torch.tensor([[1, 5, 9]])],
        "a star",
        None,
    ],
)
def test_ids_are_a_tensor_for_each_prompt(unchecked, ids):
    """ids: [tensor of whole numbers, ...], else PromptError.

    Plain lists are the mistake that is made most often, and would fail somewhere inside, as fractions would.
    """
    with pytest.raises(PromptError, match="ids should be a list with a tensor of token ids for each prompt"):
        PromptPair.from_ids(ids)


def test_ids_may_have_32_bits_and_stand_in_any_sequence(model):
    """from_ids((ids of int32, ...)) = from_ids([ids of int64, ...]): the same rows and the same velocities.

    Other tokenizers give int32, and a function with *ids gets a tuple.
    """
    ids, z = [torch.tensor([1, 5, 6, 9]), torch.tensor([1, 7, 9])], normal(0, 2, 4, 12, 12)
    plain, other = PromptPair.from_ids(ids), PromptPair.from_ids(tuple(row.int() for row in ids))
    for ours, theirs in zip(vars(other.rows).values(), vars(plain.rows).values(), strict=True):
        assert ours.tolist() == theirs.tolist()
    with torch.no_grad():
        assert torch.equal(model.velocity(z, T, other)[0], model.velocity(z, T, plain)[0])


def test_an_unknown_word_is_named_with_the_known_ones(pipe):
    """a word outside the vocabulary  =>  PromptError.

    The small tokenizer knows only about thirty words. The message names the first unknown word and lists the known
    ones, so that the user can correct the caption.
    """
    with pytest.raises(PromptError, match=r'does not know "pink"; it knows: a, above, an, .*yellow'):
        PromptPair.from_text("a pink and mauve circle", pipe.tokenizer)


@pytest.mark.parametrize(
    "prompt", ["a red<begin_of_image>circle", "<｜begin▁of▁sentence｜>a circle", "a <｜▁pad▁｜> circle"]
)
def test_a_special_token_is_no_word_of_a_prompt(pipe, prompt):
    """a special token that is spelled out  =>  PromptError, which names it.

    The tokenizer would read it as the token itself: the prompt would end in its middle, or begin twice.
    """
    with pytest.raises(PromptError, match=r"holds the special token <.*>: expected only words"):
        PromptPair.from_text(prompt, pipe.tokenizer)


def test_an_empty_caption_is_an_error(pipe):
    """caption = "" or spaces only  =>  PromptError.

    Such a caption says nothing about the picture. Without the error, the model would draw from the chat template alone.
    """
    with pytest.raises(PromptError, match="empty"):
        PromptPair.from_text("  ", pipe.tokenizer)


def test_the_chat_template_surrounds_the_caption(pipe):
    """ids = [bos, user:, words, assistant:, <begin_of_image>] without the last.

    The model was trained with this chat template. Spaces around the caption are removed before the caption is filled
    in.
    """
    ids = PromptPair.from_text(" a red circle ", pipe.tokenizer).rows.ids[0]
    words = ["<｜begin▁of▁sentence｜>", "user:", "a", "red", "circle", "assistant:"]
    assert pipe.tokenizer.convert_ids_to_tokens(ids) == words


@pytest.fixture
def official(tmp_path):
    """Load a tokenizer of the official format as a user does; the special tokens that are named are left out of it."""

    def read(*without):
        write_tokenizer(tmp_path, without)
        return AutoTokenizer.from_pretrained(tmp_path, config=PreTrainedConfig(), local_files_only=True)

    return read


def test_the_official_format_is_read_to_the_byte(official, tmp_path):
    """AutoTokenizer(files).encode = encode of tokenizer.json itself.

    tokenizer_config.json names a class that splits text in another way. The rules in tokenizer.json are the right ones,
    so they must be used.
    """
    tokenizer, raw = official(), write_tokenizer(tmp_path)
    for caption in ("a red circle", "über 3 bicycles,\n  in the rain", "圖"):
        text = TEMPLATE.format(prompt=caption)
        assert tokenizer.encode(text) == raw.encode(text).ids
    check_tokenizer(tokenizer, len(tokenizer))
    assert PromptPair.from_text("a red bicycle", tokenizer).rows.ids[0, 0] == raw.token_to_id(BOS)


@pytest.mark.parametrize(
    "caption", ["a red circle", "Paris, in the Rain", "two  lines\n and a  gap", "lines\r\nof Windows\ta tab", "圖"]
)
@pytest.mark.parametrize(("before", "after"), [("", ""), ("  ", " \n"), ("\n\t", "   "), ("\u3000", "\xa0\r\n")])
def test_a_caption_is_tokenised_letter_by_letter(official, tmp_path, caption, before, after):
    """ids = encode("User: " + caption + two line breaks + "Assistant:" + tag) without the last, nothing else changed.

    The official tokenizer tells apart capitals, every space and every line break. So the template must be the one of
    training to the byte. Only the spaces around the caption are removed.
    """
    raw = write_tokenizer(tmp_path)
    expected = raw.encode(f"User: {caption}\n\nAssistant:<begin_of_image>").ids[:-1]
    assert PromptPair.from_text(before + caption + after, official()).rows.ids[0].tolist() == expected


def test_either_tag_gives_the_same_rows(official):
    """rows(... <begin_of_image>) = rows(... <generation tag>).

    The last token is dropped, whichever tag it is, and the time token takes its place. So both tags give the same
    picture.
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
    """image tag, begin-of-sentence token and padding token in vocabulary, else CheckpointError.

    Without the tag, only a piece of it would be dropped at the end of the prompt. Without a begin-of-sentence token,
    the unconditional row would keep a piece of text. Without a padding token, masked positions could not be filled.
    """
    tokenizer = official(*without)
    with pytest.raises(CheckpointError, match=said):
        check_tokenizer(tokenizer, len(tokenizer))


@pytest.mark.parametrize("other", [EOS, "a"])
def test_a_tokenizer_that_begins_with_another_token_than_its_own_is_refused(official, other):
    """encode(text)[0] = bos, else CheckpointError.

    The unconditional row keeps the first token of the text. If this is not the begin-of-sentence token, the row is not
    independent of the text.
    """
    tokenizer = official()
    tokenizer.bos_token = other
    with pytest.raises(CheckpointError, match="begins no text"):
        check_tokenizer(tokenizer, len(tokenizer))


def test_without_a_padding_token_the_end_of_the_sentence_pads(official):
    """pad = eos if there is no padding token.

    The official code does the same. Padding is masked, so the choice does not change the picture.
    """
    tokenizer = official(PAD)
    check_tokenizer(tokenizer, len(tokenizer))
    rows = PromptPair.from_text("a red circle", tokenizer).rows
    assert (rows.ids[~rows.attention_mask] == tokenizer.convert_tokens_to_ids(EOS)).all()


def test_a_tokenizer_of_more_tokens_than_the_model_is_refused(official):
    """tokens(tokenizer) <= vocab_size, else CheckpointError.

    A token id without an embedding would cause an unclear error deep inside the first step. The check at loading time
    names both numbers.
    """
    tokenizer = official()
    check_tokenizer(tokenizer, len(tokenizer) + 1)  # a model may have more embeddings than are used
    with pytest.raises(CheckpointError, match=r"319 tokens, the model knows 318"):
        check_tokenizer(tokenizer, len(tokenizer) - 1)
    tokenizer.add_tokens(["otter"])
    with pytest.raises(CheckpointError, match=r"320 tokens, the model knows 318"):
        check_tokenizer(tokenizer, len(tokenizer) - 2)


def test_pairs_are_equal_only_in_everything():
    """equals(p, q): the same ids, the same mask, the same positions and as many images.

    With 1 as padding, [1, 1, 8] alone has the ids of [1, 8] beside a longer prompt, and other masks. A cache of one is
    wrong for the other.
    """
    (short, long), images = ([1, 8, 9], [1, 1, 8, 9]), 2
    batched = pair([short, long], images, pad_id=1)
    assert batched.equals(pair([short, long], images, pad_id=1))
    other = pair([long, long], images, pad_id=1)
    assert torch.equal(other.rows.ids, batched.rows.ids)
    assert not batched.equals(other)
    assert not other.equals(batched)
    assert not batched.equals(pair([short, long], images + 1, pad_id=1))
