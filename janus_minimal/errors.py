"""What a person did wrong, said in one line: every message names the fault and what would be right."""


class InputError(ValueError):
    """Something that was asked for cannot be done. The command line prints it and exits with status 2."""


class PromptError(InputError):
    """A prompt that is empty, or holds a word that the tokenizer does not know."""


class CheckpointError(InputError):
    """A checkpoint directory that does not hold what the official layout asks for."""
