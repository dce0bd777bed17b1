"""Where a checkpoint is: bundled with the package, in a directory, or on the Hugging Face hub.

The network is used only for a repository's id, "owner/name", and never under HF_HUB_OFFLINE=1. Only
the files that the loaders read are fetched: a repository may also hold pickles and code.
"""

import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from janus_minimal.errors import CheckpointError, quoted

BUNDLED = Path(__file__).parent.parent / "checkpoints"
REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
MODEL_FILES = (
    *("config.json", "model*.safetensors", "model.safetensors.index.json"),
    *("tokenizer*.json", "special_tokens_map.json"),
)
VAE_FILES = ("config.json", "diffusion_pytorch_model.safetensors")


def find_checkpoint(
    name: str | Path, revision: str | None = None, files: Sequence[str] = MODEL_FILES
) -> Path:
    """Return the directory of a checkpoint.

    `name` is the name of a bundled checkpoint ("shapes"), a path, or the id of a repository, whose
    `files` are then fetched. `revision` is a branch, tag or commit of that repository. Raises
    CheckpointError.
    """
    if not isinstance(name, str | Path):
        raise CheckpointError(f"the checkpoint is {name!r}: expected a name or a path")
    bundled = sorted(path.name for path in BUNDLED.iterdir() if path.is_dir())
    directory = BUNDLED / name if str(name) in bundled else Path(name)
    if str(name) in bundled and os.path.isdir(name) and not directory.samefile(name):
        warnings.warn(
            f'"{name}" is the bundled checkpoint, and not the folder of this name that is here: '
            f'expected "./{name}" for the folder',
            stacklevel=2,
        )
    # Path.is_dir raises for a name that is too long. Path("") is the folder that we are in.
    if name != "" and os.path.isdir(directory):
        return directory
    # "runs/mine" looks like a repository's id. Next to a folder "runs" it is a mistyped path.
    if REPOSITORY.fullmatch(str(name)) and not os.path.isdir(directory.parent):
        return _fetch(str(name), revision, files)
    raise CheckpointError(
        f"no checkpoint {name}: expected a directory with config.json, a bundled one: "
        f"{', '.join(bundled)}, or a hub repository, owner/name"
    )


def find_part(directory: Path, name: str) -> Path:
    """Return the path of one part of a checkpoint, its file or folder `name`.

    A student of `shapes` has the same VAE and tokenizer. So that they are not shipped twice, a
    bundled checkpoint takes the parts that it has not from `shapes`.
    """
    own = directory / name
    return BUNDLED / "shapes" / name if directory.parent == BUNDLED and not own.exists() else own


def _fetch(repository: str, revision: str | None, files: Sequence[str]) -> Path:
    """Return the folder of the hub's cache with these files; only missing ones are fetched."""
    from huggingface_hub import is_offline_mode, snapshot_download

    try:
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                allow_patterns=list(files),
                # Older versions ask the hub which files there are even if HF_HUB_OFFLINE is set.
                local_files_only=is_offline_mode(),
            )
        )
    except Exception as error:  # the hub's client and its HTTP library have kinds of their own
        reason = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"{repository} cannot be fetched from the hub: {quoted(reason)}"
        ) from None
