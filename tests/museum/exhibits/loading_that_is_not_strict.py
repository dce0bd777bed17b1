"""Keys that do not fit are skipped.

With strict=False, PyTorch loads a checkpoint even if all its keys have another prefix. No weight is copied, no error is
raised, and the model draws noise: https://github.com/pytorch/examples/issues/1029. The option is tempting, because it
makes an error message disappear. The bundled checkpoint is complete, so the pictures here do not change.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "loading.weights:_complain",
        right='raise CheckpointError(f"{where} {fault} {min(keys)}{more}: {rule}")',
        wrong="return  # strict=False",
    ),
]
