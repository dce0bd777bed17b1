"""How much memory pictures need beside the weights: python docs/figures/memory.py (writes data/memory.json)

Nothing is measured here. One step runs on the meta device, whose tensors have a shape and no numbers. The bytes of each
result are added up until the result is freed. So the released size can be counted on any machine. What an operation
borrows inside, for example a convolution's workspace, is not seen. Attention is taken as fused: it keeps no matrix.
"""

import json
import weakref
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from diffusers import AutoencoderKL
from recipes import DATA
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from janus_minimal import denoise, time_grid
from janus_minimal.bench.sizes import SDXL_VAE
from janus_minimal.bench.subject import Subject
from janus_minimal.config import JanusConfig

META, SIDE, TOKENS = torch.device("meta"), 48, 20
BATCHES = (1, 5)
FUSED = patch.object(nn.functional, "scaled_dot_product_attention", lambda q, *_, **__: torch.empty_like(q))


class Living(TorchDispatchMode):
    """Adds up the bytes of the tensors that are made inside and still in use. `most` is the largest sum."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known = {p.untyped_storage()._cdata for p in (*module.parameters(), *module.buffers())}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:  # "is nothing masked?" A meta tensor cannot tell.
            return False
        result = func(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self.known:
            self.known.add(key)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def most(module: nn.Module, run: Callable[[], Any]) -> int:
    """Return the most bytes in use at once while this runs, the module's own weights left out."""
    with torch.no_grad(), FUSED, Living(module) as living:
        run()
    return living.most


def step(images: int, dtype: torch.dtype) -> int:
    """Return the bytes of one step of the loop, with the prompt's cache."""
    of = Subject.of(JanusConfig(), SIDE, images, TOKENS, dtype, META)
    return most(of.model, lambda: list(denoise(of.model, of.prompt, of.z, time_grid(1))))


def decoding(images: int) -> int:
    """Return the bytes of decoding latents with SDXL's VAE, in float32."""
    with META:
        vae, z = AutoencoderKL(**SDXL_VAE), torch.empty(images, 4, SIDE, SIDE)
    return most(vae, lambda: vae.decode(z))


def counted(bytes_of: Callable[[int], int]) -> dict[str, float]:
    """Return the megabytes of one image, and of each image more."""
    first, last = (bytes_of(images) / 1e6 for images in BATCHES)
    return {"one image": first, "an image more": (last - first) / (BATCHES[1] - BATCHES[0])}


if __name__ == "__main__":
    found = {
        "float32": counted(lambda images: step(images, torch.float32)),
        "bfloat16": counted(lambda images: step(images, torch.bfloat16)),
        "VAE": counted(decoding),
    }
    (DATA / "memory.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
