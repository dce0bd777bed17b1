"""A tokenizer.json is a small program: only rules that neither run away nor crash are run."""

import json
import logging
import shutil
from functools import reduce
from unittest.mock import Mock

import pytest
from tokenizers import Tokenizer
from tools.official_tokenizer import EOS, write_tokenizer

from janus_minimal.errors import CheckpointError, PromptError
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.loading.tokenizer import load_tokenizer
from janus_minimal.loading.tokenizer_rules import check_rules
from janus_minimal.loading.vocabulary import encode
from janus_minimal.prompt import PromptPair

BEGIN = "<｜begin▁of▁sentence｜>"
FILES = ("tokenizer.json", "tokenizer_config.json")


@pytest.fixture
def directory(tmp_path):
    """The small world's tokenizer: a word is a token, and there is a token for unknown words."""
    for name in FILES:
        shutil.copy(BUNDLED / "shapes" / name, tmp_path)
    return tmp_path


def edit(directory, name="tokenizer.json", **parts):
    path = directory / name
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | parts), encoding="utf-8")


def edit_model(directory, **parts):
    raw = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
    edit(directory, model=raw["model"] | parts)


def replace(pattern, content, kind="String"):
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def sequence(*normalizers):
    return {"type": "Sequence", "normalizers": list(normalizers)}


def template(*pieces, **special):
    tokens = {name: {"id": name, "ids": ids, "tokens": [name] * len(ids)} for name, ids in special.items()}
    return {"type": "TemplateProcessing", "single": list(pieces), "pair": [], "special_tokens": tokens}


def special(name):
    return {"SpecialToken": {"id": name, "type_id": 0}}


TEXT = {"Sequence": {"id": "A", "type_id": 0}}
RUN_AWAY_OR_CRASH = {
    "doubling, forty times": {"normalizer": sequence(*[replace("a", "aa")] * 40)},
    "hidden in inner sequences": {
        "normalizer": reduce(lambda inner, _: sequence(inner, replace("a", "aa")), range(40), sequence())
    },
    "an empty pattern": {"normalizer": sequence(*[replace("", "xx", "Regex")] * 9)},
    "one letter between any two characters, forty times": {"normalizer": sequence(*[replace("x*", "a", "Regex")] * 40)},
    "one letter for an empty text, forty times": {"normalizer": sequence(*[replace("", "a")] * 40)},
    "an empty prefix": {"normalizer": {"type": "Prepend", "prepend": ""}},
    "a long prefix, many times": {"normalizer": sequence(*[{"type": "Prepend", "prepend": "a" * 10**4}] * 9)},
    "one letter becomes a book": {"normalizer": replace("a", "a" * 10**6)},
    "characters become bytes, forty times": {
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}] * 40}
    },
    "a mark before each word, forty times": {
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Metaspace", "replacement": "_", "prepend_scheme": "always", "split": False}]
            * 40,
        }
    },
    "unicode forms, forty times": {"normalizer": sequence(*[{"type": "NFKD"}, {"type": "NFC"}] * 20)},
    "a damaged table": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "//////////8AAAAAAAAA"}},
    "chunks of no length": {"pre_tokenizer": {"type": "FixedLength", "length": 0}},
    "a second text": {"post_processor": template({"Sequence": {"id": "B", "type_id": 0}})},
    "a second text in an inner rule": {
        "post_processor": {"type": "Sequence", "processors": [template({"Sequence": {"id": "B", "type_id": 0}})]}
    },
    "a text twice": {"post_processor": template(TEXT, TEXT)},
    "a special token many times": {"post_processor": template(special("b"), TEXT, *[special("b")] * 16, b=[0])},
    "a text many times": {"post_processor": template(*[TEXT] * 10**4)},
    "no rule at all": {"normalizer": 3},
    "a rule whose kind is a list": {"normalizer": {"type": []}},
    "a list in place of a rule": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [[[]]]}},
    "content that is no text": {"normalizer": replace("a", ["x"])},
    "no model": {"model": None},
}


@pytest.mark.parametrize("parts", RUN_AWAY_OR_CRASH.values(), ids=RUN_AWAY_OR_CRASH)
def test_a_rule_that_runs_away_or_crashes_is_not_run(directory, parts):
    """such a rule  =>  CheckpointError in one line, at once.

    The library is written in Rust. Its crashes end the process, its panics print three lines of their own, and its
    loops cannot be interrupted.
    """
    edit(directory, **parts)
    with pytest.raises(CheckpointError, match=r"the tokenizer is refused: .*expected the official"):
        load_tokenizer(directory, 33)


@pytest.mark.parametrize(
    "parts",
    [
        {"padding": {"strategy": {"Fixed": 10**12}, "direction": "Right", "pad_to_multiple_of": None}},
        {"truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}},
        {"truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 10}},
    ],
)
def test_a_prompt_is_neither_cut_nor_filled_up(directory, parts):
    """encode(tokenizer with padding or truncation) = encode(tokenizer).

    A prompt that is cut to three tokens is another prompt, and one that is filled up to 10^12 ends the process.
    """
    plain = load_tokenizer(directory, 33).encode("User: a red circle")
    if "padding" in parts:
        parts["padding"] |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "x"}
    edit(directory, **parts)
    assert load_tokenizer(directory, 33).encode("User: a red circle") == plain


UNIGRAM = {"vocab": [["red", -1.0]], "unk_id": 0}  # and the library does not tell this id
ANOTHER_PROMPT = {
    "a token after the tag": (
        {"post_processor": template(special("b"), TEXT, special("e"), b=[0], e=[1])},
        "adds more to a text",
    ),
    "a tag that is a word only where it stands alone": (
        {"added_tokens": [], "pre_tokenizer": {"type": "WhitespaceSplit"}},
        "cuts it into pieces",
    ),
    "a token that is none": ({"post_processor": template(special("b"), TEXT, b=[0, 999])}, "adds more to a text"),
    "no begin of sentence": ({"post_processor": None}, "begins no text"),
    "a digit is left out": ({"normalizer": replace("7", "")}, "leaves 7 out of every text"),
    "letters are left out": ({"normalizer": replace("q", "")}, "leaves q out of every text"),
    "unknown words are red": ({"model": UNIGRAM | {"type": "Unigram"}}, "the model 'Unigram' is not known"),
    "unknown words are red, by a model of no name": ({"model": UNIGRAM}, "the model None is not known"),
}


@pytest.mark.parametrize(("parts", "fault"), ANOTHER_PROMPT.values(), ids=ANOTHER_PROMPT)
def test_rules_that_make_another_prompt_are_named(directory, parts, fault):
    """encode(text) != [begin of sentence, *encode of each character]  =>  CheckpointError.

    Dropping the last token assumes that it is <begin_of_image>; the unconditional row keeps the first.
    """
    edit(directory, **parts)
    with pytest.raises(CheckpointError, match=fault):
        load_tokenizer(directory, 33)


ASCII = "".join(map(chr, range(33, 127)))


@pytest.mark.parametrize("letters", ["r", ASCII, *((ASCII + "\U00013000").replace(lost, "") for lost in "!/bZ~")])
def test_letters_without_a_token_are_not_left_out(directory, letters):
    """BPE without bytes and without an unknown token, that lacks any character that can be seen  =>  CheckpointError.

    Such a model drops the characters that it does not know, so "a pïnk circle" would become "a pnk circle".
    """
    tokens = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    known = {**tokens, **{letter: 100 + i for i, letter in enumerate(letters)}}
    edit(directory, normalizer=None, model={"type": "BPE", "vocab": known, "merges": [], "unk_token": None})
    with pytest.raises(CheckpointError, match="out of every text: expected a token for the unknown"):
        load_tokenizer(directory, 300)


@pytest.mark.parametrize("name", [None, "red", "<｜▁pad▁｜>"])
def test_an_unknown_word_is_refused_whatever_the_config_calls_it(directory, name):
    """unk_token missing or wrong in tokenizer_config.json  =>  an unknown word is still a PromptError.

    Otherwise "dragon" would be drawn as the unknown token, without a word, and "red" could be refused.
    """
    edit(directory, "tokenizer_config.json", unk_token=name)
    tokenizer = load_tokenizer(directory, 33)
    with pytest.raises(PromptError, match='does not know "dragon"'):
        PromptPair.from_text("a red dragon", tokenizer)
    PromptPair.from_text("a red circle", tokenizer)


def test_one_id_is_one_word(directory):
    """vocabulary[a] = vocabulary[b]  =>  CheckpointError.

    The two words would be drawn alike, and no error would say so.
    """
    vocabulary = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    edit_model(directory, vocab={**vocabulary, "red": vocabulary["blue"]})
    with pytest.raises(CheckpointError, match="it gives two words the same id"):
        load_tokenizer(directory, 33)


def test_a_text_has_one_way_to_be_cut(tmp_path):
    """BPE with dropout  =>  CheckpointError.

    It draws lots at each word, so a seed would no longer give the same picture.
    """
    write_tokenizer(tmp_path)
    load_tokenizer(tmp_path, 330)
    edit_model(tmp_path, dropout=0.5)
    with pytest.raises(CheckpointError, match="cuts the same text in many ways"):
        load_tokenizer(tmp_path, 330)


def test_what_a_rule_cannot_cope_with_is_one_line(directory):
    """a panic while a prompt is cut  =>  CheckpointError, which quotes the prompt.

    A regular expression may need more tries than the library allows. Its panic is no Exception.
    """
    pattern = {"type": "Split", "pattern": {"Regex": "(a+)+Z"}, "behavior": "Isolated", "invert": False}
    edit(directory, pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, pattern]})
    tokenizer = load_tokenizer(directory, 33)
    with pytest.raises(CheckpointError, match=r'^the tokenizer fails on "red a{40,}\.*": .*retry-limit'):
        PromptPair.from_text("red " + "a" * 46, tokenizer)


@pytest.mark.parametrize("character", ["\0", "\7", "\x1b", "\x1f", "\x7f", "\x85", "\udcff"])
@pytest.mark.parametrize("official", [True, False])
def test_a_control_character_is_refused(directory, official, character):
    """a character that nobody can see in a prompt  =>  PromptError, which names it; spaces and lines are none.

    "red" with one in it looks the same, and is another word. A byte that is no text comes as a lone surrogate.
    """
    if official:
        write_tokenizer(directory)
    tokenizer = load_tokenizer(directory, 330)
    with pytest.raises(PromptError, match=rf"control character U\+{ord(character):04X}"):
        PromptPair.from_text(f"a re{character}d circle", tokenizer)
    PromptPair.from_text("a red\n\tcircle", tokenizer)


INVISIBLE = {
    "\u00ad": "soft hyphen",
    "\u200b": "zero width space",
    "\u200f": "right-to-left mark",
    "\u202e": "right-to-left override",
    "\u2060": "word joiner",
    "\ufeff": "zero width no-break space",
}


@pytest.mark.parametrize("character", INVISIBLE)
@pytest.mark.parametrize("official", [True, False])
def test_a_format_character_is_refused_by_name(directory, official, character):
    """a soft hyphen, a zero-width space, a mark of direction in a prompt  =>  PromptError, which names it.

    They are copied along from web pages. "red" with one in it looks the same, and is another word or an unknown one.
    """
    if official:
        write_tokenizer(directory)
    tokenizer = load_tokenizer(directory, 330)
    named = rf"holds the {INVISIBLE[character]} U\+{ord(character):04X}: expected"
    with pytest.raises(PromptError, match=named):
        PromptPair.from_text(f"a re{character}d circle", tokenizer)


@pytest.mark.parametrize("joiner", ["\u200c", "\u200d"])
def test_a_joiner_is_taken_where_the_tokenizer_knows_it(directory, pipe, joiner):
    """a joiner in a prompt: taken by the official tokenizer; named where it makes a word unknown.

    Persian, the scripts of India and composed emoji are written with joiners. The message cannot show one.
    """
    with pytest.raises(PromptError, match=rf"joiner U\+{ord(joiner):04X}"):
        PromptPair.from_text(f"a red{joiner} circle", pipe.tokenizer)
    write_tokenizer(directory)
    PromptPair.from_text(f"a red{joiner} circle", load_tokenizer(directory, 330))


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
WORDS = {
    "type": "Sequence",
    "pretokenizers": [{"type": "Digits", "individual_digits": True}, {"type": "WhitespaceSplit"}],
}
HARMLESS = {
    "digits one by one, as DeepSeek's": lambda raw: {"pre_tokenizer": WORDS},
    "a compatible form of Unicode": lambda raw: {"normalizer": sequence({"type": "NFKC"}, {"type": "Lowercase"})},
    "a byte level before the template, as Llama's": lambda raw: {
        "post_processor": {"type": "Sequence", "processors": [BYTES, raw["post_processor"]]}
    },
    "pieces of words": lambda raw: {
        "model": raw["model"]
        | {"type": "WordPiece", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
    },
}


PLAIN = {
    "version": "1.0",
    "added_tokens": [],
    "decoder": None,
    "post_processor": None,
    "model": {"type": "WordLevel", "vocab": {"<unk>": 0}, "unk_token": "<unk>"},
}
NORMALIZERS = (
    *("NFC", "NFD", "NFKC", "NFKD", "Nmt", "Lowercase", "StripAccents"),
    {"type": "Strip", "strip_left": True, "strip_right": True},
    {"type": "Prepend", "prepend": "_"},
    {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": True,
    },
    replace("``", '"'),
    sequence({"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}),
)
PRE_TOKENIZERS = (
    *("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "UnicodeScripts"),
    {"type": "CharDelimiterSplit", "delimiter": " "},
    {"type": "Digits", "individual_digits": True},
    {"type": "Punctuation", "behavior": "Isolated"},
    {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always", "split": True},
    {"type": "Split", "pattern": {"Regex": "[0-9]"}, "behavior": "Isolated", "invert": False},
    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
)


def test_the_rules_of_common_tokenizers_are_accepted():
    """each normaliser and pre-tokenizer of BERT's, CLIP's and Llama's tokenizers is run, alone or with others.

    A list that is too short refuses whole models.
    """
    for kind, rules in (("normalizer", NORMALIZERS), ("pre_tokenizer", PRE_TOKENIZERS)):
        for rule in rules:
            rule = {"type": rule} if isinstance(rule, str) else rule
            many = {"normalizer": NORMALIZERS[-1], "pre_tokenizer": PRE_TOKENIZERS[-1]}
            for parts in ({kind: rule}, many | {kind: rule}):
                Tokenizer.from_str(json.dumps(check_rules(PLAIN | parts)))


@pytest.mark.parametrize("rules", HARMLESS.values(), ids=HARMLESS)
def test_rules_of_other_tokenizers_are_run(directory, rules):
    """digits, NFKC, ByteLevel in a sequence, WordPiece: accepted, and a plain caption has the same ids as before.

    Tokenizers of this kind are common, the official one among them. A list that is too short refuses whole models.
    """
    plain = load_tokenizer(directory, 33).encode("User: a red circle")
    edit(directory, **rules(json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))))
    assert load_tokenizer(directory, 33).encode("User: a red circle") == plain


def test_every_id_of_a_vocabulary_has_an_embedding(directory):
    """largest id >= vocab_size  =>  CheckpointError, also where the vocabulary has holes and few words.

    An id beyond the embedding table fails in step one, or on a GPU in a page about assertions.
    """
    vocabulary = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    edit_model(directory, vocab={**vocabulary, "red": 500})
    load_tokenizer(directory, 501)
    with pytest.raises(CheckpointError, match="501 tokens, the model knows 500"):
        load_tokenizer(directory, 500)


def test_an_added_word_is_a_word(directory):
    """a word that was added to a tokenizer, and is not special, may stand in a prompt.

    A concept that was trained has such a token. Only the special ones would end the prompt or begin it twice.
    """
    write_tokenizer(directory)
    tokenizer = load_tokenizer(directory, 400)
    tokenizer.add_tokens(["<my-otter>"])
    ids = PromptPair.from_text("a <my-otter>", tokenizer).rows.ids[0].tolist()
    assert tokenizer.convert_tokens_to_ids("<my-otter>") in ids
    with pytest.raises(PromptError, match="special token"):
        PromptPair.from_text(f"a {EOS}", tokenizer)


def test_a_long_prompt_is_told_of_by_us_alone(directory, monkeypatch):
    """encode(a text of more tokens than model_max_length) says nothing.

    The library would say that the text is longer than a limit, which nothing here has.
    """
    edit(directory, "tokenizer_config.json", model_max_length=3)
    monkeypatch.setattr(
        logging.getLogger("transformers"), "level", logging.WARNING
    )  # whatever the surroundings ask for
    said, handler = [], logging.Handler()
    handler.emit = said.append
    logging.getLogger("transformers").addHandler(handler)
    try:  # the library says it once for each tokenizer
        assert len(encode(load_tokenizer(directory, 33), "a red circle and a red circle")) > 3
    finally:
        logging.getLogger("transformers").removeHandler(handler)
    assert said == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_whoever_interrupts_a_tokenizer_is_heard(unchecked, error):
    """Ctrl-C while a text is tokenised = Ctrl-C, and no fault of the tokenizer.

    Its panics are no Exception, so everything is caught there, and these two must not be.
    """
    with pytest.raises(error):
        encode(Mock(encode=Mock(side_effect=error)), "a star")
