"""Messages: one line, short, and safe to print in a terminal."""

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janus_minimal.errors import LONGEST, CheckpointError, InputError, one_line, quoted
from janus_minimal.loading.config_file import read_config
from janus_minimal.loading.latents import read_latents
from janus_minimal.loading.picture import read_picture
from janus_minimal.loading.pretrained import read_tokenizer
from janus_minimal.loading.vae import load_vae
from janus_minimal.loading.weights import safetensors_keys, weight_files


@given(text=st.text(max_size=1000), longest=st.integers(4, 400))
def test_a_message_is_one_short_line_of_visible_characters(text, longest):
    r"""|one_line(text)| <= longest, without line breaks and without control characters.

    Messages quote names from files that somebody else wrote. A line break would make one message look
    like two, and control characters can rewrite what already stands in the terminal.
    """
    line = one_line(text, longest)
    assert len(line) <= longest
    assert len(line.splitlines()) <= 1
    assert not any(unicodedata.category(character).startswith("C") for character in line)


@given(text=st.text(max_size=1000))
def test_cleaning_twice_changes_nothing(text):
    """one_line(one_line(text)) = one_line(text).

    A message passes through several functions, and each may clean it.
    """
    assert one_line(one_line(text)) == one_line(text)


def test_the_beginning_and_the_end_of_a_long_message_remain():
    """one_line(fault + long + remedy) = 198 characters ... 99 characters, of 300 in all.

    A message says first what is wrong and last what would be right. The middle can go.
    """
    line = one_line(f"config.json is wrong: {'x' * 10_000}; expected 3")
    assert line.startswith("config.json is wrong: xxx")
    assert line.endswith("xxx; expected 3")
    assert [len(part) for part in line.split("...")] == [198, 99]
    assert one_line("x" * 300) == "x" * 300


def test_what_a_message_quotes_leaves_room_for_the_rest():
    """quoted(text) = one_line(text) of 120 characters at most.

    What is wrong and what would be right fit beside it into the 300 of a message.
    """
    assert len(quoted("x" * 121)) == 120
    assert quoted("x" * 120) == "x" * 120
    assert quoted("two\nlines \x1b[2J") == "two lines"


@pytest.mark.parametrize(
    "sequence",
    ["\x1b[31m", "\x1b[38:5:1m", "\x1b[?25l", "\x1b[0 q", "\x1b]0;title\x07", "\x1b]8;;http://here\x1b\\"],
)
def test_terminal_sequences_leave_no_trace(sequence):
    """one_line(red text) = text: colours, cursors, titles and links.

    Removing only the escape character would leave "[31m" in the message.
    """
    assert one_line(f"a {sequence}red\x1b[0m\x1b]0;title\x07 key") == "a red key"


def test_every_error_of_ours_cleans_its_message():
    """str(InputError(text)) = one_line(text).

    No place that raises an error needs to remember it.
    """
    for kind in (InputError, CheckpointError):
        assert str(kind("two\nlines \x1b[2J" + "x" * 1000)) == one_line("two\nlines \x1b[2J" + "x" * 1000)
        assert len(str(kind("x" * 1000))) == LONGEST


READERS = {
    "weights": weight_files,
    "picture": lambda folder: read_picture(folder / "a.png"),
    "config": read_config,
    "latents": lambda folder: read_latents(folder / "z.safetensors", 4),
    "tensors": lambda folder: safetensors_keys(folder / "model.safetensors"),
    "tokenizer": read_tokenizer,
    "VAE": load_vae,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_folder_that_may_not_be_entered_is_one_line(tmp_path, monkeypatch, read):
    """stat(a file in the folder) is denied  =>  InputError, whatever is read there.

    Python's Path.is_file raises then, and os.path.isfile says no. Root may enter every folder, so we make it up here.
    """
    stat = os.stat

    def denied(path, *given, **more):
        if str(path).startswith(f"{tmp_path}{os.sep}"):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *given, **more)

    monkeypatch.setattr(os, "stat", denied)
    with pytest.raises(InputError) as error:
        read(tmp_path)
    assert "\n" not in str(error.value)
