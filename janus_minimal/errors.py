"""The errors of a user, each told in one line.

An InputError means that something was asked for that cannot be done: a prompt without words, a file
that is missing, a checkpoint of another model. Its message names the fault and what would be right.
The command line prints the message and exits with status 2; only a bug of ours ends in a traceback.
"""

import re
import unicodedata

LONGEST = 300  # characters of a message
QUOTED = 120  # characters of what a message quotes, for example another library's error
_TERMINAL_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?)?")


def one_line(text: object, longest: int = LONGEST) -> str:
    r"""Return `text` as one line that is safe to print and at most `longest` characters long.

    Messages quote file names, keys and errors of other libraries, which may come from whoever wrote
    a checkpoint. They could hold line breaks that make one message look like two, sequences that
    recolour the terminal or rewrite what stands there, or a megabyte of text. Line breaks become
    spaces, terminal sequences and other invisible characters are removed, and a text that is too
    long loses its middle, because the fault stands at the beginning and the remedy at the end.

    >>> one_line("no such file:\n\x1b[31mconfig.json\x1b[0m")
    'no such file: config.json'
    >>> one_line("abcdefghij", longest=7)
    'abc...j'
    """
    visible = "".join(
        character
        for character in _TERMINAL_SEQUENCE.sub("", str(text))
        if character.isspace() or not unicodedata.category(character).startswith("C")
    )
    line = " ".join(visible.split())
    if len(line) <= longest:
        return line
    end = (longest - 3) // 3
    return f"{line[: longest - 3 - end]}...{line[len(line) - end :]}"


def quoted(text: object) -> str:
    """Return `text` as a line that is short enough to stand inside a message."""
    return one_line(text, QUOTED)


class InputError(ValueError):
    """Something was asked for that cannot be done. The message is one short line."""

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(message))


class PromptError(InputError):
    """A prompt that is empty, or that holds a word which the tokenizer does not know."""


class CheckpointError(InputError):
    """A checkpoint directory that does not hold what the official layout asks for."""
