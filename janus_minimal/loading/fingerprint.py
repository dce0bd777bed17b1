"""A fingerprint of tensors: equal for equal names, dtypes, shapes and numbers, and for nothing else.

Work that is done in several runs, such as a folder of pictures or a training run, must not mix two
models. File names and times say little about what is in a file: copies have new times, and a folder
may hold another model today. So the numbers themselves are compared, by a SHA-256 digest.
"""

from collections.abc import Mapping
from hashlib import sha256

import torch
from torch import Tensor

LENGTH = 16  # hexadecimal digits: 64 bits, so that two models never meet by chance


def fingerprint(tensors: Mapping[str, Tensor], *words: str) -> str:
    """Return 16 hexadecimal digits that stand for these tensors and words.

    Words are for what decides a result beside the weights, such as a config. One tensor at a time is
    copied, so little memory is needed.

    >>> a, b = {"x": torch.zeros(2)}, {"x": torch.zeros(2, dtype=torch.bfloat16)}
    >>> fingerprint(a) == fingerprint({"x": torch.zeros(2)}), fingerprint(a) == fingerprint(b)
    (True, False)
    """
    # No text has the byte ff, so a line break in a word is none between two.
    digest = sha256(b"".join(word.encode().replace(b"\n", b"\xff") + b"\n" for word in words))
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:LENGTH]
