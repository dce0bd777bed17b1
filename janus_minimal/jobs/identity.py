"""The identity of a pipeline: a fingerprint of everything in it that decides a picture.

Work that goes on later must go on with the same model. A checkpoint's name does not tell: another
model may have taken its place meanwhile.
"""

from janus_minimal.loading.fingerprint import fingerprint
from janus_minimal.loading.vae import unusual
from janus_minimal.pipeline import JanusFlowPipeline
from janus_minimal.runtime.precision import matrix_precision


def identity(pipe: JanusFlowPipeline) -> str:
    """Return a fingerprint of weights, configs, tokenizer and matrix precision."""
    parts = {"model": pipe.model, "vae": pipe.vae}.items()
    tensors = {f"{name}.{k}": v for name, part in parts for k, v in part.state_dict().items()}
    words = (
        pipe.model.config,
        pipe.vae.config.scaling_factor,
        pipe.tokenizer.backend_tokenizer.to_str(),
        matrix_precision(),
        *unusual(pipe.vae),
    )
    return fingerprint(tensors, *map(str, words))
