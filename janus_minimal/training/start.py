"""The checkpoint that a fine-tuning starts from, and the way back to a checkpoint."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from janus_minimal.config import JanusConfig
from janus_minimal.loading.config_file import config_to_dict
from janus_minimal.loading.fingerprint import fingerprint
from janus_minimal.loading.whole import write_whole
from janus_minimal.model import JanusFlow
from janus_minimal.training.finetune import prepare
from janus_minimal.training.lora import MATRICES, check_adapters, merge_adapters, trained_weights
from janus_minimal.training.tuning import Tuning


@dataclass(frozen=True)
class Start:
    """A directory in the official layout, and what of it is trained."""

    directory: Path
    tuning: Tuning

    @property
    def about(self) -> Mapping[str, str | int | bool | None]:
        """Return what a run writes into its settings.

        The directory is among it: whatever is not trained is copied from there at every save.
        """
        choices = {name.replace("_", " "): value for name, value in asdict(self.tuning).items()}
        return {"from": str(self.directory.resolve()), **choices}

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype that the network computes with."""
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[self.tuning.dtype]

    def check(self, config: JanusConfig) -> None:
        """Raise InputError, before any work, if the model cannot have such adapters."""
        if self.tuning.lora is not None:
            check_adapters(config.language, self.tuning.lora)

    def load(self, device: torch.device) -> JanusFlow:
        """Return the model, ready to be trained. Adapters are drawn from PyTorch's generator."""
        return prepare(JanusFlow.from_pretrained(self.directory, self.dtype, device), self.tuning)

    def fingerprint(self, model: JanusFlow) -> str:
        """Return a fingerprint of the checkpoint, of a model that was loaded and not yet trained.

        What is not trained is copied at each save. Another checkpoint may have taken the directory's
        place meanwhile, and its config would then stand beside weights that were trained with this one.
        """
        weights = model.state_dict().items()
        own = {key: tensor for key, tensor in weights if MATRICES not in key}  # adapters are random
        return fingerprint(own, json.dumps(config_to_dict(model.config), sort_keys=True))

    def plain(self, model: JanusFlow) -> JanusFlow:
        """Return a trained model without adapters and in one dtype, to draw pictures with."""
        return merge_adapters(model).to(self.dtype).eval()

    def write(self, out: Path, model: JanusFlow) -> None:
        """Write the whole checkpoint: what was trained is new, all else is copied."""
        write_whole(out, self.directory, trained_weights(model))
