"""Which rules of a tokenizer.json are accepted: those that can neither run away nor crash.

A tokenizer.json is a small program: normalisers rewrite the text, pre-tokenizers cut it, a model
maps the pieces to ids, a post-processor adds special tokens. The library runs whatever it finds.
Forty rules "a becomes aa" ask for 2^40 characters, a damaged table of characters or a padding to
10^12 tokens ends the whole process, without an exception that could be caught. So the rules are
looked at before they are given to the library. The official tokenizer uses a few of them only.
"""

from collections.abc import Iterator
from math import prod
from typing import Any

from janus_minimal.errors import CheckpointError

# By what a rule can multiply the length of a text: ByteLevel writes a character as up to 4 bytes.
GROWTH = {
    **dict.fromkeys(("Sequence", "Strip", "StripAccents", "Nmt", "Prepend", "Replace"), 1),
    **dict.fromkeys(("Split", "Digits", "Whitespace", "WhitespaceSplit", "Punctuation"), 1),
    **dict.fromkeys(("BertPreTokenizer", "CharDelimiterSplit", "UnicodeScripts"), 1),
    **{"Lowercase": 3, "BertNormalizer": 4, "NFC": 3, "NFD": 4, "NFKC": 18, "NFKD": 18},
    **{"ByteLevel": 4, "Metaspace": 2},
}
# Not Unigram: the library does not tell its token for the unknown, and "dragon" would be drawn as it.
MODELS = ("BPE", "WordLevel", "WordPiece")
TEMPLATES = ("Sequence", "ByteLevel", "TemplateProcessing")
MOST_GROWTH = 1000
MOST_PIECES = 16  # of a template; the official one has two


def check_rules(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a tokenizer.json's content without padding and truncation, which prompts never have.

    Raises CheckpointError for a rule that can run away or crash, and for one that draws lots.
    """
    rules = [*_rules(raw.get("normalizer")), *_rules(raw.get("pre_tokenizer"))]
    for rule in rules:
        _check(rule.get("type") in [*GROWTH], f"the rule {rule.get('type')!r} is not known here")
    _check(prod(map(_growth, rules)) <= MOST_GROWTH, "its rules make a text endlessly long")
    for rule in _rules(raw.get("post_processor")):
        _check(rule.get("type") in TEMPLATES, f"the rule {rule.get('type')!r} is not known here")
        plain = rule["type"] != "TemplateProcessing" or _is_plain(rule.get("single"))
        _check(plain, "its template is not one text with special tokens")
    _check_model(raw.get("model"))
    return raw | {"padding": None, "truncation": None}


def _check_model(model: Any) -> None:
    _check(isinstance(model, dict), f"it has {model!r} in place of a model")
    _check(model.get("type") in MODELS, f"the model {model.get('type')!r} is not known here")
    _check(not model.get("dropout"), "it cuts the same text in many ways")
    words = model.get("vocab")
    ids = [*map(str, words.values())] if isinstance(words, dict) else []
    _check(len(set(ids)) == len(ids), "it gives two words the same id")


def _rules(rule: Any) -> Iterator[dict[str, Any]]:
    """Yield a rule, and those that it consists of, to any depth."""
    waiting = [] if rule is None else [rule]
    while waiting:
        rule = waiting.pop()
        _check(isinstance(rule, dict), f"it has {rule!r} in place of a rule")
        yield rule
        for name in ("normalizers", "pretokenizers", "processors"):
            inner = rule.get(name, [])
            waiting += inner if isinstance(inner, list) else [inner]


def _growth(rule: dict[str, Any]) -> int:
    """Return by what a rule multiplies a text of one character at most."""
    written = rule.get("content", rule.get("prepend", ""))
    _check(isinstance(written, str), f"it writes {written!r}, which is no text")
    _check(
        bool(written) or rule["type"] != "Prepend", "it prepends nothing, which crashes the library"
    )
    grows = len(written) > 1 or (written and _may_find_nothing(rule.get("pattern")))
    return GROWTH[rule["type"]] * (len(written) + 1 if grows else 1)


def _may_find_nothing(pattern: Any) -> bool:
    """Return whether a pattern may match between any two characters, where the rule then writes."""
    return isinstance(pattern, dict) and not pattern.get("String")


def _is_plain(template: Any) -> bool:
    """Return whether a template is the text, once, with a few special tokens around it."""
    if not isinstance(template, list) or len(template) > MOST_PIECES:
        return False
    texts = [
        piece["Sequence"] for piece in template if isinstance(piece, dict) and "Sequence" in piece
    ]
    return len(texts) == 1 and isinstance(texts[0], dict) and texts[0].get("id") == "A"


def _check(true: bool, fault: str) -> None:
    if not true:
        raise CheckpointError(
            f"the tokenizer is refused: {fault}; expected the official tokenizer.json"
        )
