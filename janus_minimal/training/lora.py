"""LoRA: train two thin matrices beside each weight matrix of the language model, and nothing else.

The problem. Training all weights needs memory for a gradient, two moments and an average of each of
them, and it can change everything the model knew. LoRA (low-rank adaptation) keeps a weight matrix W
as it is and adds a product of two thin matrices:

    y = W x + B A x,     W [out, in] frozen,     A [R, in],  B [out, R] trained,     R << in, out

B is zero at first, so an untrained adapter changes nothing. After training, B A can be added to W:
the merged model is an ordinary one, as fast as before, which every program can load.

The adapters are those of `peft`. Their strength alpha is set to R, so that its factor alpha / R is 1,
as in the training scripts of diffusers.

Source: Hu et al. 2021, "LoRA: low-rank adaptation of large language models", arXiv 2106.09685.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from janus_minimal.config import LanguageConfig
from janus_minimal.errors import InputError
from janus_minimal.model import JanusFlow
from janus_minimal.training.master import copy_sharing_frozen

# Every linear layer of a Llama block: four of the attention, three of the MLP.
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
NAME = "default"  # of the adapter: peft can hold several, we have one
MATRICES = ".lora_"  # stands in the names of A and B, and in no other


def add_adapters(model: JanusFlow, rank: int) -> None:
    """Put an adapter of this rank beside each linear layer of the language model, and freeze the rest of it.

    A is drawn from PyTorch's global generator, uniformly from -1/sqrt(in) to 1/sqrt(in), as torch draws
    the weights of a linear layer: the size of A x does not depend on the rank. B is zero.

    Raises:
        InputError: if peft is not installed, if the language model is too narrow for the rank, or if it
            has adapters, which would be drawn anew.
    """
    if any(_adapted(model)):
        raise InputError("the model has adapters: expected one without")
    check_adapters(model.config.language, rank)
    peft = _peft()
    config = peft.LoraConfig(r=rank, lora_alpha=rank, target_modules=list(LINEAR))
    peft.inject_adapter_in_model(config, model.llama, NAME)


def check_adapters(config: LanguageConfig, rank: int) -> None:
    """Raise InputError if peft is not installed, or if the layers are too narrow for the rank."""
    _peft()
    keys = config.hidden_size // config.num_attention_heads * config.num_key_value_heads
    narrowest = min(config.hidden_size, config.intermediate_size, keys)
    if not 1 <= rank <= narrowest:
        raise InputError(
            f"an adapter of rank {rank}: expected 1 to {narrowest}, the narrowest layer's width"
        )


@torch.no_grad()
def merge_adapters(model: JanusFlow) -> JanusFlow:
    """Return a model with plain linear layers that computes the same: W + B A in place of W, B and A.

    The sum is computed in float32 and rounded once, to the dtype of W. The given model stays as it
    is; the weights that no adapter changes are shared with it.
    """
    merged = copy_sharing_frozen(model)
    for name, layer in list(_adapted(merged)):
        plain = layer.get_base_layer()
        total = plain.weight.float() + layer.get_delta_weight(NAME).float()
        plain.weight = nn.Parameter(total.to(plain.weight.dtype), requires_grad=False)
        merged.set_submodule(name, plain)
    return merged


def trained_weights(model: JanusFlow) -> dict[str, Tensor]:
    """Return all weights that training could change, under their official keys, adapters merged.

    Whoever saves these and copies everything else from the checkpoint that training began with
    changes nothing but what was trained.
    """
    adapted = {f"{name}.weight" for name, _ in _adapted(model)}
    whole = {name for name, p in model.named_parameters() if p.requires_grad}
    keys = adapted | {name for name in whole if MATRICES not in name}
    state = merge_adapters(model).state_dict()
    return {key: state[key] for key in sorted(keys)}


def _adapted(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the name and module of each layer that has an adapter."""
    return (
        (name, layer)
        for name, layer in model.named_modules()
        if hasattr(layer, "get_delta_weight") and hasattr(layer, "get_base_layer")
    )


def _peft() -> Any:
    """Return the library. It is optional, so it is imported only here."""
    try:
        import peft
    except ImportError:
        raise InputError(
            "adapters need peft, which is not installed: pip install --editable '.[finetune]'"
        ) from None
    return peft
