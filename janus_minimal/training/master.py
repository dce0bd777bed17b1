"""Master weights: float32 copies of the weights that learn, for a network in half precision.

The problem. A bfloat16 number has 8 significant bits, so the next number after 1 is 1 + 2^-7. A step of
training changes a weight by a thousandth of itself or less. Added in bfloat16, such a change is
rounded away, every time, and the weight never moves:

    bfloat16    1 + 0.001 = 1           after 100 steps: 1
    float32     1 + 0.001 = 1.001       after 100 steps: 1.1, which bfloat16 shows as 1.1016

So the optimiser works on float32 copies. The network computes with the copies, rounded. Only weights
that learn need a copy; frozen ones stay in half precision, and exist once.

Source: Micikevicius et al. 2017, "Mixed precision training", arXiv 1710.03740, section 3.1.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def copy_sharing_frozen(network: Network) -> Network:
    """Return a copy whose learning weights are its own, and whose frozen weights are the network's.

    A plain copy of a frozen model with small adapters would need all of its memory again.
    """
    frozen = {id(weight): weight for weight in network.parameters() if not weight.requires_grad}
    return deepcopy(network, frozen)


def master_of(network: Network) -> Network:
    """Return the network that the optimiser changes: with float32 in place of what learns.

    A network whose learning weights are float32 already is its own master.
    """
    if all(weight.dtype == torch.float32 for weight in _learning(network)):
        return network
    master = copy_sharing_frozen(network)
    for weight in _learning(master):
        weight.data = weight.data.float()
    return master


def gather_gradients(network: nn.Module, master: nn.Module) -> None:
    """Add the network's gradients to those of the master weights, in float32, and drop them.

    This is called after each part of a batch, so gradients too are added up in float32.
    """
    if master is network:
        return
    for weight, copy in zip(_learning(network), _learning(master), strict=True):
        if weight.grad is not None:
            new = weight.grad.float()
            copy.grad = new if copy.grad is None else copy.grad.add_(new)
            weight.grad = None


@torch.no_grad()
def hand_back(master: nn.Module, network: nn.Module) -> None:
    """Give the network the master weights, rounded to its own dtype."""
    if master is network:
        return
    for copy, weight in zip(_learning(master), _learning(network), strict=True):
        weight.copy_(copy)


def _learning(network: nn.Module) -> Iterator[nn.Parameter]:
    return (weight for weight in network.parameters() if weight.requires_grad)
