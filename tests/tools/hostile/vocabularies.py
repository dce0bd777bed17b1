"""Tokenizers that are changed in meaning: rules that run away or crash, words and ids that do not fit."""

import json
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

from tools.hostile import copy_of_shapes, draw, may_work

TEXTS = ("a", "red", " ", "", "e", "User: ", "<begin_of_image>", "aa", "a" * 1000, "\0", "ﷺ")
CHARMAPS = ("", "AAAA", "//////////8AAAAAAAAA", "BAAAAP////8=", "A" * 10_000)
FIELDS = ("lstrip", "normalized", "evil", "\x1b[31mevil", "__type")
IDS = (0, 1, 2, 3, 17, 33, 999, 2**31, 2**32 - 1)


def normalizer(random: Random, depth: int = 0) -> Any:
    pattern = {random.choice(("String", "Regex")): random.choice((*TEXTS, "(a+)+$", "a*", ".", "(?=a)"))}
    simple = ("Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "StripAccents", "ByteLevel")
    several = [normalizer(random, depth + 1) for _ in range(random.choice((1, 2, 5)))] if depth < 3 else []
    kinds = (
        {"type": random.choice(simple)},
        {"type": "Replace", "pattern": pattern, "content": random.choice(TEXTS)},
        {"type": "Prepend", "prepend": random.choice(TEXTS)},
        {"type": "Strip", "strip_left": True, "strip_right": random.random() < 0.5},
        {"type": "Precompiled", "precompiled_charsmap": random.choice(CHARMAPS)},
        {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "lowercase": True},
        {"type": "Sequence", "normalizers": several * random.choice((1, 1, 20))},
    )
    return random.choice(kinds)


def pre_tokenizer(random: Random, depth: int = 0) -> Any:
    pattern = {random.choice(("String", "Regex")): random.choice((*TEXTS, r"\s+", "(a+)+c", "(?:(?:a*)*)*c"))}
    behavior = random.choice(("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"))
    several = [pre_tokenizer(random, depth + 1) for _ in range(random.choice((1, 2)))] if depth < 3 else []
    simple = ("WhitespaceSplit", "Whitespace", "BertPreTokenizer", "UnicodeScripts")
    kinds = (
        {"type": random.choice(simple)},
        {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": random.random() < 0.5},
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": random.random() < 0.5},
        {"type": "Metaspace", "replacement": random.choice("▁a "), "prepend_scheme": "always", "split": True},
        {"type": "Digits", "individual_digits": True},
        {"type": "Punctuation", "behavior": behavior},
        {"type": "FixedLength", "length": random.choice((0, 1, 5))},
        {"type": "CharDelimiterSplit", "delimiter": random.choice("a e")},
        {"type": "Sequence", "pretokenizers": several * random.choice((1, 1, 20))},
    )
    return random.choice(kinds)


def post_processor(random: Random) -> Any:
    pieces: tuple[dict[str, Any], ...] = (
        {"SpecialToken": {"id": "b", "type_id": 0}},
        {"SpecialToken": {"id": "missing", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"Sequence": {"id": "B", "type_id": 0}},
    )
    special = {"b": {"id": "b", "ids": random.choices(IDS, k=random.randint(0, 3)), "tokens": ["b"]}}
    single = random.choices(pieces, k=random.choice((0, 1, 2, 3, 1000)))
    template = {"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": special}
    roberta = {"type": "RobertaProcessing", "sep": ["x", 99], "cls": ["y", 0], "trim_offsets": True}
    bert = {"type": "BertProcessing", "sep": ["x", 2], "cls": ["y", 0]}
    return random.choice((template, template, roberta | {"add_prefix_space": True}, bert, None))


def model(random: Random, raw: dict[str, Any]) -> Any:
    old = raw["model"]
    vocab = dict(old["vocab"])
    words = list(vocab)
    for _ in range(random.randint(1, 3)):
        vocab[random.choice(words)] = random.choice(IDS)
    kinds = (
        old | {"vocab": vocab},
        old | {"unk_token": random.choice(("red", "<nope>", "", None))},
        {"type": "BPE", "vocab": old["vocab"], "merges": [], "unk_token": random.choice((None, "<unk>", "a"))},
        {"type": "BPE", "vocab": vocab, "merges": ["a n"], "dropout": random.choice((None, 0.5, -1.0, 2.0))},
        {"type": "Unigram", "vocab": [[word, -float(i)] for word, i in vocab.items()], "unk_id": random.choice(IDS)},
        {"type": "WordPiece", "vocab": old["vocab"], "unk_token": random.choice(("<unk>", "no"))}
        | {"continuing_subword_prefix": "##", "max_input_chars_per_word": random.choice((0, 1, 100))},
    )
    return random.choice(kinds)


def added_tokens(random: Random, raw: dict[str, Any]) -> Any:
    tokens = deepcopy(raw["added_tokens"])
    flags = {name: random.random() < 0.5 for name in ("single_word", "lstrip", "rstrip", "normalized", "special")}
    tokens.append({"id": random.choice(IDS), "content": random.choice(TEXTS), **flags})
    if random.random() < 0.3:
        tokens.pop(random.randrange(len(tokens)))
    return tokens


@may_work(copy_of_shapes, draw)
def rules_of_the_tokenizer(directory: Path, random: Random) -> None:
    path = directory / "tokenizer.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    length = {"direction": "Right", "pad_to_multiple_of": random.choice((None, 0, 10**6)), "pad_id": 0}
    padding = {"strategy": {"Fixed": random.choice((3, 10**12))}, "pad_type_id": 0, "pad_token": "x", **length}
    cut = {"max_length": random.choice((0, 3)), "stride": random.choice((0, 9)), "direction": "Right"}
    parts = {
        "normalizer": lambda: normalizer(random),
        "pre_tokenizer": lambda: pre_tokenizer(random),
        "post_processor": lambda: post_processor(random),
        "model": lambda: model(random, raw),
        "added_tokens": lambda: added_tokens(random, raw),
        "padding": lambda: padding,
        "truncation": lambda: cut | {"strategy": "LongestFirst"},
    }
    for name in random.sample(sorted(parts), random.randint(1, 2)):
        raw[name] = parts[name]()
    path.write_text(json.dumps(raw), encoding="utf-8")


@may_work(copy_of_shapes, draw)
def special_tokens_of_the_tokenizer(directory: Path, random: Random) -> None:
    path = directory / random.choice(("tokenizer_config.json", "special_tokens_map.json"))
    config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    values = ("red", "dragon", "", None, "<unk>", "<begin_of_image>", {"content": "red"}, {"content": 3}, 3, ["red"])
    for name in random.sample(("unk_token", "bos_token", "pad_token", "eos_token", "sep_token"), random.randint(1, 3)):
        config[name] = random.choice(values)
    if random.random() < 0.3:
        token = {"content": random.choice(TEXTS), "special": True, random.choice(FIELDS): True}
        config["added_tokens_decoder"] = {str(random.choice(IDS)): token}
    if random.random() < 0.3:
        config["additional_special_tokens"] = random.choices(TEXTS, k=2)
    config["model_max_length"] = random.choice((0, 1, 512, -1, 1e30, "x"))
    path.write_text(json.dumps(config), encoding="utf-8")
