"""The state of a training run, in one file: weights, their average, optimiser state and losses."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from janus_minimal.errors import InputError, quoted
from janus_minimal.loading.atomic import atomic_write
from janus_minimal.training.master import copy_sharing_frozen, hand_back, master_of
from janus_minimal.training.optimizers import build_optimizers
from janus_minimal.training.recipe import Recipe
from janus_minimal.training.settings import check_same


class Learner:
    """A network with everything that changes while it learns.

        average_1 = master_1,    average_k = decay average_(k-1) + (1 - decay) master_k

    where master_k are the weights after k steps, and decay is `recipe.average`. The master weights
    are those of the network, or float32 copies of them where the network has another dtype
    (master.py).

    Why an average: every step is computed from a small batch, so it moves the weights partly by
    chance. The exponential moving average (EMA) cancels much of this noise. Training goes on with
    `master`; pictures are made with `average.module`.

    Why one safetensors file: a resumed run must find all parts as of the same step, and the file
    replaces the old one in a single operation, so a kill cannot mix two steps. The file holds:

        network.{key}                    the master weights
        average.{key}                    their average, and how often it was updated
        optimizer.{j}.{i}.{key}          the moments of parameter i in optimiser j
        losses                           the loss of every step so far
        metadata "recipe"                the recipe, as JSON
        metadata "data"                  what is learned from, as the caller describes it
        metadata "source"                the checkpoint that training starts from, if there is one

    Weights that are frozen (`requires_grad` is False) are the same in network, master and average.
    They are kept once and are not in the file: whoever freezes them can load them again.

    Args:
        network: the network to train. It is not copied; the average has own weights, except for
            frozen ones.
        recipe: how to train it.
        data: what is learned from, such as a fingerprint. A state of other data is refused.
        source: a fingerprint of the checkpoint that training starts from, if there is one. A state
            that names another one is refused.
    """

    def __init__(
        self, network: nn.Module, recipe: Recipe, data: str = "", source: str | None = None
    ):
        self.network, self.recipe, self.data, self.source = network, recipe, data, source
        self.master = master_of(network)
        # AveragedModel would copy frozen weights too, so it is given its copy.
        self.average = AveragedModel(
            nn.Identity(), multi_avg_fn=get_ema_multi_avg_fn(recipe.average)
        )
        self.average.module = copy_sharing_frozen(self.master)
        self.optimizers = build_optimizers(self.master, recipe)
        self.losses: list[float] = []

    def save(self, path: Path) -> None:
        """Write the state. Raises InputError if the file cannot be written."""
        tensors = {key: tensor.contiguous() for key, tensor in self._tensors().items()}
        tensors["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        about = {"recipe": json.dumps(asdict(self.recipe)), "data": self.data}
        about |= {} if self.source is None else {"source": self.source}
        with atomic_write(path) as unfinished:
            save_file(tensors, unfinished, about)

    def load(self, path: Path) -> None:
        """Read a state into this learner's tensors.

        Raises InputError if the recipe, the data or the source are others, and for a file that is
        damaged: it must hold exactly the tensors that `save` writes, of the same shapes and finite.
        """
        if not path.is_file():  # opening a FIFO would wait for somebody to write into it
            raise InputError(f"{path} is no plain file: move it away to begin this training anew")
        try:
            with safe_open(path, "pt") as file, torch.no_grad():
                self._check(path, file.metadata())
                self._create_moments()  # changes weights, so only once the state is known to fit
                self._copy(file)
                hand_back(self.master, self.network)
        except InputError:
            raise
        except (SafetensorError, OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise InputError(
                f"{path} is no whole state of this network ({quoted(error)}): "
                "delete it to begin this training anew"
            ) from None

    def _check(self, path: Path, about: Mapping[str, str]) -> None:
        """Raise InputError if a state with these metadata is of another run.

        The source comes first: with another one, data that hold its frozen weights differ as well.
        Earlier versions did not name it, and their runs shall go on.
        """
        begun = json.loads(about["recipe"]) | {"data": about["data"]}
        source = about.get("source", self.source)
        check_same(path, {"source": source}, {"source": self.source})
        check_same(path, begun, asdict(self.recipe) | {"data": self.data})

    def _copy(self, file: safe_open) -> None:
        """Copy every tensor of the file. Raises ValueError for what `save` would not have written."""
        tensors, stored = self._tensors(), set(file.keys())
        if odd := sorted(stored ^ {*tensors, "losses"}):
            raise ValueError(f"{odd[0]} is {'unknown' if odd[0] in stored else 'missing'}")
        losses = torch.zeros(file.get_slice("losses").get_shape(), dtype=torch.float64)
        for key, tensor in {**tensors, "losses": losses}.items():
            value = file.get_tensor(key)
            if (value.shape, value.dtype) != (tensor.shape, tensor.dtype):
                raise ValueError(f"{key} has {list(value.shape)}, {value.dtype}")
            if not value.isfinite().all():
                raise ValueError(f"{key} holds numbers that are not finite")
            tensor.copy_(value)
        if len(losses) != self.average.n_averaged:
            raise ValueError(f"{len(losses)} losses of {int(self.average.n_averaged)} steps")
        self.losses = losses.tolist()

    def _tensors(self) -> dict[str, Tensor]:
        """Return every tensor of the state under its name in the file, without a copy."""
        tensors = {f"network.{key}": value for key, value in _changing(self.master).items()}
        tensors |= {f"average.{key}": value for key, value in _changing(self.average).items()}
        for j, optimizer in enumerate(self.optimizers):
            for i, moments in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{j}.{i}.{key}": value for key, value in moments.items()}
        return tensors

    def _create_moments(self) -> None:
        """Take a step with zero gradients.

        PyTorch creates an optimiser's moments in its first step. They must exist before they can be
        overwritten. The step changes the weights too, and these are overwritten as well.
        """
        for parameter in self.master.parameters():
            if parameter.requires_grad:  # a frozen weight has no moments
                parameter.grad = torch.zeros_like(parameter)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()


def _changing(module: nn.Module) -> dict[str, Tensor]:
    """Return the entries of the module's state dict that training can change."""
    frozen = {name for name, weight in module.named_parameters() if not weight.requires_grad}
    return {key: value for key, value in module.state_dict().items() if key not in frozen}
