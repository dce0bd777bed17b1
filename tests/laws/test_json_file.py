"""JSON files of a checkpoint are untrusted: read once, bounded, and without a request to run code."""

import codecs
import json
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janus_minimal.errors import CheckpointError
from janus_minimal.loading.config_file import read_config
from janus_minimal.loading.json_file import CODE_KEYS, read_json
from janus_minimal.loading.vae import load_vae

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("json") / "config.json"


def escaped(text: str) -> str:
    r"""Every character as \uXXXX, as JSON allows."""
    return "".join(f"\\u{ord(character):04x}" for character in text)


@given(content=st.dictionaries(st.text(max_size=9), JSON), mark=st.booleans())
def test_what_was_written_is_read(path, content, mark):
    """read(write(x)) = x, with or without a byte order mark.

    Editors on Windows put the mark at the beginning of a UTF-8 file, where json.loads refuses it.
    """
    text = json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass")
    path.write_bytes(codecs.BOM_UTF8 * mark + text)
    assert read_json(path) == content


@given(
    key=st.sampled_from(sorted(CODE_KEYS)),
    places=st.lists(st.sampled_from(["object", "list", "shadowed"]), max_size=5),
    hidden=st.booleans(),
)
def test_a_request_to_run_code_is_found_however_it_is_written(path, key, places, hidden):
    r"""auto_map at any depth, with or without escapes  =>  CheckpointError.

    transformers imports the Python class that auto_map names. "\u0061uto_map" is the same key to a
    parser, and other bytes to a search. A later duplicate of the key around it does not undo it.
    """
    text = f'{{"b": 1, "{escaped(key) if hidden else key}": {{"AutoTokenizer": ["evil.Evil", null]}}, "c": 2}}'
    for place in places:
        text = {
            "object": f'{{"a": {text}}}',
            "list": f'{{"a": [1, {text}]}}',
            "shadowed": f'{{"a": {text}, "a": 1}}',
        }[place]
    path.write_text(text)
    with pytest.raises(CheckpointError, match=rf"asks to run code of its own \({key}\)"):
        read_json(path)


@given(
    content=st.dictionaries(st.text(max_size=9), JSON, min_size=1),
    places=st.lists(st.sampled_from(['{"a": ?}', '{"a": [1, ?]}']), max_size=3),
    data=st.data(),
)
def test_a_key_that_stands_twice_is_refused(path, content, places, data):
    """{k: x, ..., k: y} at any depth  =>  CheckpointError, which names k, also if x = y.

    Python's parser takes the last of the values, others take the first. A merge that went wrong leaves such a file, and
    whoever reads it sees one of the values and computes with the other.
    """
    key = data.draw(st.sampled_from(sorted(content)))
    text = f"{json.dumps(content)[:-1]}, {json.dumps(key)}: 1}}"
    for place in places:
        text = place.replace("?", text)
    path.write_text(text)
    with pytest.raises(CheckpointError, match="twice in an object: expected once"):
        read_json(path)


def test_a_value_that_spells_the_key_is_no_request(path):
    """{"a": "auto_map"} is read.

    Only a key asks for code. A token or a description may hold the same letters.
    """
    path.write_text('{"a": "auto_map", "b": ["auto_map"], "\\u0061uto_mapper": 1}')
    assert read_json(path) == {"a": "auto_map", "b": ["auto_map"], "auto_mapper": 1}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b'"', b"[" * 100_000, b'{"a":' * 100_000, b"\0", b"{}}", b'{"a": "\xff"}'],
)
def test_what_is_no_object_is_named(path, content):
    """invalid JSON, or JSON that is no object  =>  CheckpointError with the file's name.

    However deep it nests: the parser's stack is no reason for a traceback.
    """
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.json (cannot be read|should hold a JSON object)"):
        read_json(path)


def test_a_file_that_is_too_large_is_not_parsed(path):
    """bytes > largest  =>  CheckpointError; bytes = largest is read.

    No more than `largest` bytes are ever in memory, whatever size the file claims to have.
    """
    path.write_text('{"a": 1}')
    assert read_json(path, largest=8) == {"a": 1}
    with pytest.raises(CheckpointError, match="more than 7 bytes"):
        read_json(path, largest=7)
    with path.open("w") as file:
        file.truncate(2**30)  # a hole: nothing is stored
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="more than 1,000 bytes"):
        read_json(path, largest=1000)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


@pytest.mark.parametrize("read", [read_config, load_vae])
def test_a_config_is_no_more_than_a_megabyte(tmp_path, read):
    """config.json of a model or a VAE with more than 2^20 bytes  =>  CheckpointError; it is not parsed.

    Python needs twenty times the memory of a file of empty lists. The official configs have a few kilobytes.
    """
    (tmp_path / "config.json").write_text('{"x": [' + "[]," * 2**19 + "[]]}")
    with pytest.raises(
        CheckpointError, match=r"config\.json has more than 1,048,576 bytes: expected the official file"
    ):
        read(tmp_path)


def test_the_size_that_a_file_claims_is_not_believed():
    """size(file) = 0 in its folder's entry, but bytes > largest  =>  CheckpointError.

    The files of /proc claim to be empty, and so may those of a network's file system.
    """
    assert Path("/proc/self/status").stat().st_size == 0
    with pytest.raises(CheckpointError, match="more than 7 bytes"):
        read_json(Path("/proc/self/status"), largest=7)


@pytest.mark.parametrize("kind", ["FIFO", "link to a device", "link to nowhere", "link to itself", "folder"])
def test_only_plain_files_are_opened(tmp_path, kind):
    """FIFO, device, dangling link, folder  =>  CheckpointError, at once.

    Opening a FIFO waits until somebody writes into it, and /dev/zero never ends.
    """
    path = tmp_path / "config.json"
    {
        "FIFO": lambda: os.mkfifo(path),
        "link to a device": lambda: path.symlink_to("/dev/zero"),
        "link to nowhere": lambda: path.symlink_to("nowhere"),
        "link to itself": lambda: path.symlink_to(path),
        "folder": path.mkdir,
    }[kind]()
    with pytest.raises(CheckpointError, match="no plain file"):
        read_json(path)


def test_a_link_to_a_plain_file_is_followed(tmp_path):
    """read(link to file) = read(file).

    The hub's cache consists of links.
    """
    (tmp_path / "blob").write_text("{}")
    (tmp_path / "config.json").symlink_to("blob")
    assert read_json(tmp_path / "config.json") == {}


def test_the_official_files_fit_into_the_limit(path):
    """An object of 5 million bytes is read, and one of 100 million is not, if nobody says what is too large.

    The official tokenizer.json has about 5 million bytes. Its users never name a limit.
    """
    path.write_text(json.dumps({"a": "b" * 5_000_000}))
    assert len(read_json(path)["a"]) == 5_000_000
    with path.open("w") as file:
        file.truncate(100_000_000)
    with pytest.raises(CheckpointError, match=r"more than .* bytes"):
        read_json(path)
