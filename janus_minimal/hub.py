"""Where a checkpoint is: bundled with the package, in a directory, or in a repository of the Hugging Face hub.

The network is asked only for a repository's id, "owner/name", and not at all under HF_HUB_OFFLINE=1.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from janus_minimal.errors import CheckpointError

BUNDLED = Path(__file__).parent / "checkpoints"
REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
MODEL_FILES = ("config.json", "model*.safetensors", "model.safetensors.index.json", "tokenizer*.json")
VAE_FILES = ("config.json", "diffusion_pytorch_model.safetensors")


def find_checkpoint(name: str | Path, revision: str | None = None, files: Sequence[str] = MODEL_FILES) -> Path:
    """The directory of a checkpoint: bundled ("shapes"), a path, or a repository's id, whose `files` are fetched.

    `revision` is a repository's branch, tag or commit. Raises CheckpointError.
    """
    bundled = sorted(path.name for path in BUNDLED.iterdir() if path.is_dir())
    directory = BUNDLED / name if str(name) in bundled else Path(name)
    if directory.is_dir():
        return directory
    # "runs/mine" beside a folder "runs" is a path that was mistyped.
    if REPOSITORY.fullmatch(str(name)) and not directory.parent.is_dir():
        return _fetch(str(name), revision, files)
    raise CheckpointError(
        f"no checkpoint {name}: right would be a directory with config.json, a bundled one: {', '.join(bundled)}, "
        "or a hub repository, owner/name"
    )


def _fetch(repository: str, revision: str | None, files: Sequence[str]) -> Path:
    """The hub's own cache of these files; what is there already is not fetched again."""
    from huggingface_hub import is_offline_mode, snapshot_download

    try:
        offline = is_offline_mode()  # said outright: older versions ask for a commit's list of files all the same
        return Path(
            snapshot_download(repository, revision=revision, allow_patterns=list(files), local_files_only=offline)
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{repository} cannot be fetched from the hub: {reason}") from None
