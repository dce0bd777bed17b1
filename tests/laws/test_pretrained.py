"""transformers gets copies of the tokenizer files that we have read, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tools.official_tokenizer import BOS, IMAGE, write_tokenizer
from transformers import AutoTokenizer, PreTrainedConfig

from janus_minimal.errors import CheckpointError
from janus_minimal.loading.pretrained import load_pretrained

TEXT = f"User: a red circle\n\nAssistant:{IMAGE}"
LOAD = f"""
import sys, pathlib
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from laws.test_pretrained import load
load(pathlib.Path(sys.argv[1]))
"""


def load(directory):
    return load_pretrained(AutoTokenizer, directory, "tokenizer.json", config=PreTrainedConfig())


@pytest.fixture
def directory(tmp_path):
    write_tokenizer(tmp_path)
    return tmp_path


def edit(path, **settings):
    """Change these settings of a JSON file, which need not exist."""
    config = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(config | settings))


def other_tokenizer(folder):
    """A tokenizer.json with other ids, somewhere else on the disk."""
    folder.mkdir()
    path = folder / "tokenizer.4.0.0.json"
    write_tokenizer(folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    vocab = content["model"]["vocab"]
    content["model"]["vocab"] = {word: len(vocab) - 1 - i for word, i in vocab.items()}
    path.write_text(json.dumps(content))
    return path


def test_a_tokenizer_is_loaded_as_its_file_says(directory):
    """load(directory).encode = tokenizer.json's own encode, and the special tokens are the config's.

    The official config names a class that would cut the words otherwise.
    """
    tokenizer, raw = load(directory), write_tokenizer(directory)
    assert tokenizer.encode(TEXT) == raw.encode(TEXT).ids
    assert tokenizer.bos_token == BOS
    assert tokenizer.name_or_path == str(directory)


@pytest.mark.parametrize("file", ["tokenizer_config.json", "special_tokens_map.json", "tokenizer.json"])
def test_code_of_a_checkpoint_does_not_run_even_if_stdin_says_yes(directory, file):
    r""""\u0061uto_map" beside a Python file, "yes" on standard input  =>  CheckpointError, and no code ran.

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
@pytest.mark.parametrize("setting", ["tokenizer_file", "vocab_file", "fast_tokenizer_files"])
def test_a_setting_does_not_lead_to_another_file(directory, file, setting):
    """encode(directory with a path in a setting) = encode(directory).

    transformers opens the paths that these settings name, wherever they are.
    """
    plain = load(directory).encode(TEXT)
    other = str(other_tokenizer(directory / "elsewhere"))
    config = json.loads((directory / "tokenizer_config.json").read_text())
    config.pop("added_tokens_decoder", None)
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    edit(directory / file, **{setting: [other] if setting.endswith("s") else other})
    assert load(directory).encode(TEXT) == plain


def test_the_class_that_a_config_names_changes_nothing(directory):
    """encode(directory with another tokenizer_class) = encode(directory).

    BertTokenizer would cut the same vocabulary by its own rules. Nobody would see it but in the pictures.
    """
    plain = load(directory).encode(TEXT)
    edit(directory / "tokenizer_config.json", tokenizer_class="BertTokenizer")
    assert load(directory).encode(TEXT) == plain


class Library:
    """What transformers would be given, recorded instead."""

    @classmethod
    def from_pretrained(cls, directory, **options):
        cls.seen = {path.name for path in Path(directory).iterdir()}
        cls.options = options
        raise OSError(f"{directory}/tokenizer.json\nis not to its taste")


def test_the_library_sees_three_files_and_asks_nothing(directory):
    """files(library's directory) = the three files that we read; trust_remote_code = False.

    transformers looks for a dozen files, and some of them lead to others. Left out, trust_remote_code
    would mean: ask.
    """
    for name in ("added_tokens.json", "chat_template.jinja", "tokenizer.model", "config.json", "evil.py"):
        (directory / name).symlink_to("/dev/zero")
    os.mkfifo(directory / "model.safetensors")
    with pytest.raises(CheckpointError):
        load_pretrained(Library, directory, "tokenizer.json")
    assert Library.seen == {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}
    assert Library.options == {"local_files_only": True, "trust_remote_code": False}
    load(directory)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"])
def test_a_known_file_that_is_no_plain_file_is_refused(directory, name):
    """FIFO in place of a known file  =>  CheckpointError, at once.

    Leaving it out would silently load another tokenizer.
    """
    (directory / name).unlink(missing_ok=True)
    os.mkfifo(directory / name)
    with pytest.raises(CheckpointError, match=rf"{name} is missing, or no plain file"):
        load(directory)


def test_an_error_names_the_users_directory(directory):
    """message = directory and reason in one line, without the temporary directory.

    The temporary directory is gone when the message is read.
    """
    with pytest.raises(CheckpointError) as error:
        load_pretrained(Library, directory, "tokenizer.json")
    reason = f"Library cannot be loaded: {directory}/tokenizer.json is not to its taste"
    assert str(error.value) == f"{directory}: {reason}"


def test_no_vocabulary_is_named(tmp_path):
    """no tokenizer.json  =>  CheckpointError.

    A tokenizer.model alone would need other libraries, and other checks.
    """
    with pytest.raises(CheckpointError, match=r"holds no tokenizer\.json"):
        load(tmp_path)
