"""The optimisers: Muon for the weight matrices of linear layers, AdamW for all other parameters."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from janus_minimal.errors import InputError
from janus_minimal.training.recipe import Recipe


class Muon(torch.optim.Muon):
    """PyTorch's Muon, in float32 where the weights lie on a CPU.

    To make an update orthogonal takes 15 matrix products, and PyTorch rounds the gradient to bfloat16
    for them. Many CPUs lack instructions for that format. On one of them each product took 20 to 50
    times as long as in float32, and training spent most of its time there.
    """

    def step(self, closure: Any = None) -> Any:
        """Take one step, as every optimiser does."""
        with _Float32OnCPU():
            return super().step(closure)


class _Float32OnCPU(TorchFunctionMode):
    """Answers `tensor.bfloat16()` in float32 if the tensor lies on a CPU.

    The answer is a copy, as that of `bfloat16()` is: PyTorch goes on to change it in place.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is Tensor.bfloat16 and args[0].device.type == "cpu":
            return args[0].to(torch.float32, copy=True)
        return func(*args, **(kwargs or {}))


def build_optimizers(network: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Return AdamW for the parameters that are no weight of a linear layer, and Muon for the rest.

    Why Muon (https://kellerjordan.github.io/posts/muon/): the gradient of a weight matrix is
    dominated by a few directions. Muon makes the update orthogonal, so that all directions of the
    matrix learn at the same speed. With `adjust_lr_fn="match_rms_adamw"` (arXiv 2502.16982) its steps
    have the size of AdamW's, so one learning rate and one weight decay serve both. How much faster
    the small world is learned with it was compared on a tiny model only (docs/training-runs.md).

    Muon is made for matrices. Convolutions, embeddings, norms and biases stay with AdamW. The paper
    trains with AdamW alone, betas (0.9, 0.95) and no weight decay.

    Returns:
        AdamW and Muon, or the one of them that has something to learn. Every parameter that requires a
        gradient is in exactly one of them, and a frozen one is in none.

    Raises:
        InputError: if every parameter is frozen.
    """
    linear = [module.weight for module in network.modules() if isinstance(module, nn.Linear)]
    matrices = [weight for weight in linear if weight.requires_grad]
    others = [
        p
        for p in network.parameters()
        if p.requires_grad and all(p is not matrix for matrix in matrices)
    ]
    rate, decay = recipe.learning_rate, recipe.weight_decay
    optimizers: list[torch.optim.Optimizer] = []
    if others:
        adamw = torch.optim.AdamW(others, lr=rate, weight_decay=decay, betas=(0.9, 0.99))
        optimizers.append(adamw)
    if matrices:
        muon = Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
        optimizers.append(muon)
    if not optimizers:
        raise InputError("every weight of the network is frozen: expected one that learns")
    return optimizers
