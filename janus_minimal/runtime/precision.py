"""How exactly torch computes, which a caller or the environment may have changed.

TF32 keeps 10 bits of each number's mantissa and bfloat16 keeps 7, of 23. Both are faster where the
hardware has them, both change what is computed, and nothing in a result shows it. Convolutions on
CUDA use TF32 unless somebody forbids it; that is torch's own default, and it stays.

Autocast computes in 16 bits what it is given in 32. Here the dtype of the weights decides: whoever
wants 16 bits loads the model so. The VAE stays float32 then, while autocast would cast it too, and
SDXL's VAE overflows in float16.
"""

from contextlib import AbstractContextManager

import torch


def matrix_precision() -> str:
    """Return "float32", or the lower precisions that are allowed, such as "tf32".

    `torch.set_float32_matmul_precision`, the flags `allow_tf32` and TORCH_ALLOW_TF32_CUBLAS_OVERRIDE
    all lead to what is read here. The older function that reads it fails if newer flags were set.
    """
    backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    allowed = {backend.fp32_precision for backend in backends}
    return " and ".join(sorted(allowed - {"none", "ieee"})) or "float32"


def without_autocast(device: torch.device) -> AbstractContextManager[None]:
    """Compute on this device in the dtypes of weights and latents, whatever the caller has set."""
    return torch.autocast(device.type, enabled=False)
