"""A small tokenizer in the official format: byte-level BPE, the special tokens, LlamaTokenizerFast's config."""

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
IMAGE, GENERATION = "<begin_of_image>", "<｜begin▁of▁generation｜>"
TEXT = ["User: a red circle left of a blue square\n\nAssistant:", "a bicycle against a white wall, in the rain"]


def write_tokenizer(directory: Path, without: tuple[str, ...] = ()) -> Tokenizer:
    """Write tokenizer.json and tokenizer_config.json without these special tokens. Return the tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    special = [token for token in (BOS, EOS, PAD, IMAGE, GENERATION) if token not in without]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    if BOS in special:
        bos = tokenizer.token_to_id(BOS)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, bos)]
        )
    tokenizer.save(str(directory / "tokenizer.json"))
    named = {"bos_token": BOS, "eos_token": EOS, "pad_token": PAD}
    config = {"tokenizer_class": "LlamaTokenizerFast", "add_bos_token": BOS in special, "add_eos_token": False}
    config |= {name: token for name, token in named.items() if token in special}
    (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return tokenizer
