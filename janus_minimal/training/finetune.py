"""Fine-tuning: which weights of a loaded model train, and in which form the others are kept.

The problem. A model of 1.5 billion weights needs 20 bytes for each of them when all are trained in
float32: weight, gradient, two moments, average. Few GPUs have 30 GB to spare, and a few hundred
pictures cannot teach so many weights without damage. There are three ways to train less, and three
to keep the rest small:

    train="uvit"               the U-ViT and the aligners around the language model, which is frozen
    train="lora"               adapters on the language model (lora.py), all else frozen
    both: train="uvit", lora=R     the U-ViT fully, the language model by adapters
    dtype="bfloat16"           2 bytes a weight; what learns has float32 copies (master.py)
    gradient_checkpointing     activations of a Llama block are computed again when they are needed
    gradient_accumulation_steps    a batch in parts, so that one part's activations are in memory
"""

from janus_minimal.model import JanusFlow
from janus_minimal.training.lora import add_adapters
from janus_minimal.training.tuning import Tuning


def prepare(model: JanusFlow, tuning: Tuning) -> JanusFlow:
    """Freeze what does not train, add adapters, and return the model in training mode.

    The model changes in place; its dtype stays as it was loaded. The adapters are random: seed
    PyTorch before, for a run that can be repeated.
    """
    model.requires_grad_(tuning.train != "lora")
    model.language_model.requires_grad_(tuning.train == "all")
    if tuning.lora is not None:
        add_adapters(model, tuning.lora)
    if tuning.gradient_checkpointing:
        old = "gradient_checkpointing_enable"  # its name in transformers 5.22, deprecated later
        enable = getattr(model.llama, "activation_checkpointing_enable", None)
        (enable or getattr(model.llama, old))({"use_reentrant": False})
    return model.train()
