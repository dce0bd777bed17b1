"""The tokenizer is built from three files that we have read, and transformers opens none."""

import json
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from tools import official_tokenizer
from tools.official_tokenizer import BOS, EOS, IMAGE, PAD
from transformers import AutoTokenizer, PreTrainedConfig

from janus_minimal.errors import CheckpointError, InputError, PromptError
from janus_minimal.loading.pretrained import read_tokenizer, write_tokenizer
from janus_minimal.loading.vocabulary import check_words, padding_id

TEXT = f"User: a red circle\n\nAssistant:{IMAGE}"
LOAD = """
import pathlib, sys
from janus_minimal.loading.pretrained import read_tokenizer
read_tokenizer(pathlib.Path(sys.argv[1]))
"""


@pytest.fixture
def directory(tmp_path):
    official_tokenizer.write_tokenizer(tmp_path)
    return tmp_path


def edit(path, **settings):
    """Change these settings of a JSON file, which need not exist."""
    config = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(config | settings))


def other_tokenizer(folder):
    """A tokenizer.json with other ids, somewhere else on the disk."""
    folder.mkdir()
    path = folder / "tokenizer.4.0.0.json"
    official_tokenizer.write_tokenizer(folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    vocab = content["model"]["vocab"]
    content["model"]["vocab"] = {word: len(vocab) - 1 - i for word, i in vocab.items()}
    path.write_text(json.dumps(content))
    return path


def flagged(token):
    """A special token as older files write it, with its flags."""
    return {"__type": "AddedToken", "content": token, "lstrip": False, "normalized": True}


def test_a_tokenizer_is_loaded_as_its_file_says(directory):
    """read(directory).encode = tokenizer.json's own encode; the special tokens are the config's.

    The official config names a class that would cut the words otherwise.
    """
    tokenizer, raw = read_tokenizer(directory), official_tokenizer.write_tokenizer(directory)
    assert tokenizer.encode(TEXT) == raw.encode(TEXT).ids
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (BOS, EOS, PAD)
    assert tokenizer.name_or_path == str(directory)


def plain_config(directory):
    """What write_tokenizer wrote."""


def no_config(directory):
    (directory / "tokenizer_config.json").unlink()


def flags(directory):
    edit(directory / "tokenizer_config.json", bos_token=flagged(BOS), eos_token=flagged(EOS), unk_token=None)


def map_of_special_tokens(directory):
    edit(directory / "tokenizer_config.json", pad_token=None, add_bos_token=False, model_max_length=99)
    edit(directory / "special_tokens_map.json", pad_token=flagged(PAD), additional_special_tokens=[IMAGE, "<new>"])


def description_of_added_tokens(directory):
    map_of_special_tokens(directory)
    new = {"content": "<added>", "special": True}
    edit(directory / "tokenizer_config.json", added_tokens_decoder={"330": new}, pad_token=EOS)


@pytest.mark.parametrize("change", [plain_config, no_config, flags, map_of_special_tokens, description_of_added_tokens])
def test_every_form_of_the_files_is_read_as_transformers_reads_it(directory, change):
    """read_tokenizer(directory) = AutoTokenizer.from_pretrained(directory).

    Special tokens can be named in two files, plainly or with flags, and be added to the vocabulary.
    """
    change(directory)
    ours = read_tokenizer(directory)
    theirs = AutoTokenizer.from_pretrained(directory, config=PreTrainedConfig(), local_files_only=True)
    assert ours.encode(TEXT) == theirs.encode(TEXT)
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours.special_tokens_map == theirs.special_tokens_map
    assert ours.all_special_tokens == theirs.all_special_tokens
    assert ours.model_max_length == theirs.model_max_length


@pytest.mark.parametrize("file", ["tokenizer_config.json", "special_tokens_map.json", "tokenizer.json"])
def test_code_of_a_checkpoint_does_not_run_even_if_stdin_says_yes(directory, file):
    r"""A key "\u0061uto_map" beside a Python file, "yes" on standard input  =>  CheckpointError, no code ran.

    transformers asks "Do you wish to run the custom code?" and reads the answer from standard input.
    """
    (directory / "evil.py").write_text(f"open({str(directory / 'executed')!r}, 'w')\nclass Evil: pass\n")
    edit(directory / file, auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"]})
    (directory / file).write_text((directory / file).read_text().replace("auto_map", r"\u0061uto_map"))
    command = [sys.executable, "-c", LOAD, str(directory)]
    done = subprocess.run(command, input="yes\n" * 9, capture_output=True, text=True, timeout=120)
    assert "asks to run code of its own (auto_map)" in done.stderr.splitlines()[-1]
    assert "[y/N]" not in done.stdout + done.stderr
    assert not (directory / "executed").exists()


@pytest.mark.parametrize("file", ["tokenizer_config.json", "special_tokens_map.json"])
@pytest.mark.parametrize("setting", ["tokenizer_file", "vocab_file", "gguf_file", "fast_tokenizer_files"])
def test_a_setting_does_not_lead_to_another_file(directory, file, setting):
    """encode(directory with a path in a setting) = encode(directory).

    transformers opens the paths that these settings name, wherever they are.
    """
    plain = read_tokenizer(directory).encode(TEXT)
    other = str(other_tokenizer(directory / "elsewhere"))
    edit(directory / file, **{setting: [other] if setting.endswith("s") else other})
    tokenizer = read_tokenizer(directory)
    assert tokenizer.encode(TEXT) == plain
    assert setting not in tokenizer.init_kwargs


def test_the_class_that_a_config_names_changes_nothing(directory):
    """encode(directory with another tokenizer_class) = encode(directory).

    BertTokenizer would cut the same vocabulary by its own rules. Nobody would see it but in the pictures.
    """
    plain = read_tokenizer(directory).encode(TEXT)
    edit(directory / "tokenizer_config.json", tokenizer_class="BertTokenizer")
    assert read_tokenizer(directory).encode(TEXT) == plain


def test_other_files_are_not_looked_at(directory):
    """read(directory + files that we do not know) = read(directory), at once.

    transformers looks for a dozen files, and some of them lead to others.
    """
    plain = read_tokenizer(directory)
    (directory / "added_tokens.json").write_text('{"circle": 1000}')
    (directory / "chat_template.jinja").write_text("{{ 1 }}")
    (directory / "config.json").write_text('{"auto_map": {"AutoConfig": "evil.Evil"}}')
    (directory / "tokenizer.model").symlink_to("/dev/zero")
    os.mkfifo(directory / "vocab.json")
    tokenizer = read_tokenizer(directory)
    assert tokenizer.get_vocab() == plain.get_vocab()
    assert tokenizer.chat_template is None


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"])
def test_a_known_file_that_is_no_plain_file_is_refused(directory, name):
    """FIFO in place of a known file  =>  CheckpointError, at once.

    Leaving it out would silently load another tokenizer.
    """
    (directory / name).unlink(missing_ok=True)
    os.mkfifo(directory / name)
    with pytest.raises(CheckpointError, match=rf"{name} is missing, or no plain file"):
        read_tokenizer(directory)


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("tokenizer.json", {"model": {"type": "BPE", "vocab": "none"}}),
        ("tokenizer_config.json", {"padding_side": "up"}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"one": 1}}),
        ("tokenizer_config.json", {"added_tokens_decoder": 3}),
        ("special_tokens_map.json", {"pad_token": {"text": "x"}}),
        ("special_tokens_map.json", {"extra_special_tokens": 3}),
    ],
)
def test_what_the_library_cannot_load_is_one_line(directory, file, settings):
    """any exception of the library  =>  CheckpointError in one line, which names the directory.

    transformers raises nearly anything, and its Rust part panics.
    """
    edit(directory / file, **settings)
    with pytest.raises(CheckpointError, match=rf"^{directory} holds no tokenizer that can be loaded: ."):
        read_tokenizer(directory)


class Panic(BaseException):
    """What a panic of the Rust library is in Python: no Exception."""


@pytest.mark.parametrize(("raised", "seen"), [(Panic, CheckpointError), (KeyboardInterrupt, KeyboardInterrupt)])
def test_a_panic_is_one_line_and_an_interrupt_passes(directory, monkeypatch, raised, seen):
    """a panic while tokenizer.json is loaded  =>  CheckpointError; Ctrl-C meanwhile  =>  KeyboardInterrupt.

    Neither is an Exception. Who catches all of them must let the user's own request to stop pass.
    """

    def from_str(text):
        raise raised

    monkeypatch.setattr("janus_minimal.loading.pretrained.Tokenizer", SimpleNamespace(from_str=from_str))
    with pytest.raises(seen):
        read_tokenizer(directory)


def test_an_id_of_zero_is_an_id(unchecked):
    """pad id 0 = the padding token, not the end of the sentence; unknown id 0 in a prompt  =>  PromptError.

    Zero is false in Python, and in many vocabularies it is the id of the padding or of the unknown token.
    """
    backend = SimpleNamespace(model=SimpleNamespace(unk_token="<unk>"), token_to_id=lambda token: 0)
    tokenizer = SimpleNamespace(
        pad_token_id=0,
        eos_token_id=5,
        backend_tokenizer=backend,
        get_vocab=lambda: {"star": 4},
        encode=lambda *_, **__: [4, 0],
    )
    assert padding_id(tokenizer) == 0
    with pytest.raises(PromptError, match='does not know "star"'):
        check_words("star dragon", tokenizer)


def test_a_field_that_the_library_does_not_know_is_not_printed(directory, capfd):
    """read_tokenizer prints nothing, whatever fields an added token has.

    The library prints the name of a field that it does not know as it is, with its control sequences.
    """
    new = {"content": "<added>", "lstrip": True, "\x1b[31mevil": 1}
    edit(directory / "tokenizer_config.json", added_tokens_decoder={"330": new}, bos_token=BOS)
    added = read_tokenizer(directory).added_tokens_decoder.values()
    assert [token.lstrip for token in added if token.content == "<added>"] == [True]
    assert capfd.readouterr() == ("", "")


@contextmanager
def small_files():
    """Let no file grow beyond 1,000 bytes, which has the same effect as a full disk. No fixture: pytest writes too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_tokenizer_on_a_full_disk_is_one_line(directory):
    """write_tokenizer on a full disk  =>  InputError, and the files are as before.

    The library raises a bare Exception then, which nobody would take for a fault of the disk.
    """
    before = {path: path.read_bytes() for path in directory.iterdir()}
    refused = pytest.raises(InputError, match=r"cannot be written: .*; no file in it is incomplete")
    with small_files(), refused:
        write_tokenizer(directory, read_tokenizer(directory))
    assert {path: path.read_bytes() for path in directory.iterdir()} == before


def test_no_vocabulary_is_named(tmp_path):
    """no tokenizer.json  =>  CheckpointError.

    A tokenizer.model alone would need other libraries, and other checks.
    """
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is missing, or no plain file"):
        read_tokenizer(tmp_path)


@pytest.mark.parametrize("flag", ["single_word", "lstrip", "rstrip", "normalized", "special"])
@pytest.mark.parametrize("value", [True, False])
def test_every_flag_of_an_added_token_counts(directory, flag, value):
    """flag(added token) = what tokenizer_config.json says, for each of the five flags.

    They decide whether spaces beside the token belong to it, and whether it is found in a text at all.
    """
    new = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), not value)
    new |= {"content": "<added>", flag: value}
    edit(directory / "tokenizer_config.json", added_tokens_decoder={"330": new}, bos_token=BOS)
    (added,) = [t for t in read_tokenizer(directory).added_tokens_decoder.values() if t.content == "<added>"]
    assert {name: getattr(added, name) for name in new} == new


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("clean_up_tokenization_spaces", value) for value in (True, False)),
        *(("split_special_tokens", value) for value in (True, False)),
        *(("padding_side", value) for value in ("left", "right")),
        *(("model_max_length", 7), ("eos_token", " </s> "), ("eos_token", "</s>")),
    ],
)
def test_every_setting_reaches_the_tokenizer(directory, name, value):
    """setting(read_tokenizer) = setting(tokenizer_config.json), to the character.

    A special token may begin with a space, and is another one without it.
    """
    edit(directory / "tokenizer_config.json", **{name: value})
    assert getattr(read_tokenizer(directory), name) == value
    if name.endswith("_token"):  # older files write it with its flags
        edit(directory / "tokenizer_config.json", **{name: flagged(value)})
        assert getattr(read_tokenizer(directory), name) == value


@pytest.mark.parametrize("name", ["tokenizer_config.json", "special_tokens_map.json"])
def test_a_link_to_a_file_that_is_gone_is_named(directory, name):
    """a dangling link in the place of an optional file  =>  CheckpointError.

    The hub's cache is made of links. Where the file behind one was deleted, special tokens would be lost in silence.
    """
    (directory / name).unlink(missing_ok=True)
    (directory / name).symlink_to("gone")
    with pytest.raises(CheckpointError, match=f"{name} is missing, or no plain file"):
        read_tokenizer(directory)
