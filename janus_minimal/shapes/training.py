"""The training loop, for the VAE and for the flow alike: resumable to the same losses, on one process or several.

Everything random in step k is drawn from (seed, k), so a run that was killed and resumed, and a run on two
processes, see the same batches as an uninterrupted run on one.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from math import cos, pi
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from accelerate import Accelerator
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm.auto import tqdm

from janus_minimal.errors import InputError
from janus_minimal.files import whole


@dataclass(frozen=True)
class Recipe:
    """How long and how fast: a linear warm-up, then half a cosine down to zero; and an average of the weights."""

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.01
    warmup: int = 100
    average: float = 0.999  # decay of the exponential moving average
    save_every: int = 250
    seed: int = 0

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        progress = step / self.steps
        return self.learning_rate * min(1.0, (step + 1) / self.warmup) * (1 + cos(pi * progress)) / 2


Network = TypeVar("Network", bound=nn.Module)
Part = TypeVar("Part", list[Tensor], Tensor)
Loss = Callable[[nn.Module, int], Tensor]  # the (wrapped) network and the step's index -> a mean over the batch
Report = Callable[[Any, list[float]], None]  # the averaged network and all losses so far


class Learner:
    """A network, its optimisers, its average and its losses: all that a resumed run needs, in one safetensors file."""

    def __init__(self, network: nn.Module, recipe: Recipe):
        self.network, self.recipe = network, recipe
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average))
        self.optimizers = build_optimizers(network, recipe)
        self.losses: list[float] = []

    def save(self, path: Path) -> None:
        """Write everything, and the recipe beside it."""
        tensors = self._tensors() | {"losses": torch.tensor(self.losses, dtype=torch.float64)}
        recipe = {"recipe": json.dumps(asdict(self.recipe))}
        with whole(path) as unfinished:
            save_file({key: value.contiguous() for key, value in tensors.items()}, unfinished, recipe)

    def load(self, path: Path) -> None:
        """Go on from there. Raises InputError if that run followed another recipe."""
        self._start_optimizers()
        with safe_open(path, "pt") as file, torch.no_grad():
            started = json.loads(file.metadata()["recipe"])
            if started != asdict(self.recipe):
                raise InputError(f"{path} was begun with {started}: go on with that, or train in another directory")
            self.losses = file.get_tensor("losses").tolist()
            for key, tensor in self._tensors().items():
                tensor.copy_(file.get_tensor(key))

    def _tensors(self) -> dict[str, Tensor]:
        states = {(j, i): state for j, o in enumerate(self.optimizers) for i, state in o.state_dict()["state"].items()}
        return {
            **{f"network.{key}": value for key, value in self.network.state_dict().items()},
            **{f"average.{key}": value for key, value in self.average.state_dict().items()},
            **{f"optimizer.{j}.{i}.{key}": value for (j, i), state in states.items() for key, value in state.items()},
        }

    def _start_optimizers(self) -> None:
        """A step on zero gradients, so that the optimisers' moments exist and can be read into."""
        for parameter in self.network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()


def build_optimizers(network: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the weight matrices of linear layers, AdamW for all else, at one learning rate.

    Muon (https://kellerjordan.github.io/posts/muon/) takes steps of equal size in all directions of a matrix, and with
    its steps scaled to AdamW's (arXiv 2502.16982) it needs about two thirds of the steps here.
    """
    matrices = [module.weight for module in network.modules() if isinstance(module, nn.Linear)]
    others = [p for p in network.parameters() if all(p is not matrix for matrix in matrices)]
    rate, decay = recipe.learning_rate, recipe.weight_decay
    adamw = torch.optim.AdamW(others, lr=rate, weight_decay=decay, betas=(0.9, 0.99))
    if not matrices:
        return [adamw]
    return [adamw, torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")]


def fit(network: Network, loss: Loss, recipe: Recipe, state: Path, accelerator: Accelerator, report: Report) -> Network:
    """Train to the recipe's end, going on from `state` if it exists. Returns the averaged one. Raises InputError."""
    if recipe.batch_size % accelerator.num_processes:
        raise InputError(
            f"a batch of {recipe.batch_size} on {accelerator.num_processes} processes: right would be a multiple"
        )
    learner = Learner(network.to(accelerator.device), recipe)
    if state.exists():
        learner.load(state)
    wrapped, *optimizers = accelerator.prepare(network, *learner.optimizers)
    for step in _progress(learner, accelerator):
        learner.losses.append(_descend(wrapped, optimizers, loss(wrapped, step), recipe.rate(step), accelerator))
        learner.average.update_parameters(network)
        if accelerator.is_main_process and ((step + 1) % recipe.save_every == 0 or step + 1 == recipe.steps):
            learner.save(state)
            report(learner.average.module, learner.losses)
    return cast(Network, learner.average.module)


def _progress(learner: Learner, accelerator: Accelerator) -> Iterator[int]:
    """The steps still to do, with a bar that tells loss, learning rate and time left."""
    first, steps = len(learner.losses), learner.recipe.steps
    bar = tqdm(range(first, steps), initial=first, total=steps, disable=not accelerator.is_main_process, unit="step")
    for step in bar:
        yield step
        recent = learner.losses[-50:]
        bar.set_postfix(loss=f"{sum(recent) / len(recent):.4f}", rate=f"{learner.recipe.rate(step):.1e}")


def _descend(wrapped: nn.Module, optimizers: list[Any], value: Tensor, rate: float, accelerator: Accelerator) -> float:
    """One step of the optimisers; returns the loss, averaged over the processes."""
    accelerator.backward(value)
    accelerator.clip_grad_norm_(wrapped.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
    return accelerator.reduce(value.detach(), "mean").item()


def share(batch: Part, accelerator: Accelerator) -> Part:
    """This process's part of a batch: all parts together are the batch, whatever the number of processes."""
    return batch[accelerator.process_index :: accelerator.num_processes]
