"""Look inside one evaluation of the velocity: what the language model attends to, and its hidden states.

The problem. The loop gives a velocity and nothing of what happens on the way to it. To ask which
words a patch of the picture attends to, or what a layer changes, one needs two things that the
model computes and throws away:

    attention    softmax(Q K^T / sqrt(head width)), for each layer, row and head
    hidden       the token vectors before the first layer, and after each layer

Both can be read by forward hooks, which PyTorch calls with the input and output of a module. One
obstacle remains. The model uses torch's fused attention ("sdpa"), which never forms the matrix of
weights, because that is faster. So for this one evaluation transformers is asked for its plain
attention ("eager"), which forms the matrix and returns it. The two compute the same, up to
rounding.

    B  images        2B  rows: B conditional, then B unconditional        L  prompt tokens
    n = 1 + N  new tokens: the time token, then the image tokens in raster order
    D  width of the language model
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from janus_minimal.cache import PromptCache
from janus_minimal.model import JanusFlow
from janus_minimal.prompt import PromptPair


@dataclass(frozen=True)
class Inside:
    """One evaluation of the velocity, with what the language model did for it.

    Attributes:
        v_cond, v_uncond: the velocities, as `JanusFlow.velocity` returns them.
        attention: how much each new token attends to each token of the sequence. The last axis is
            the L tokens of the prompt, then the n new ones; it sums to 1. What is masked, and what
            comes later, has weight 0.
        hidden: the new tokens' vectors. hidden[0] enters the first layer, hidden[l] leaves layer l.
            The last one has not yet passed the language model's final norm.
    """

    v_cond: Float32[Tensor, "B c H W"]
    v_uncond: Float32[Tensor, "B c H W"]
    attention: Float[Tensor, "layers rows heads n seen"]
    hidden: Float[Tensor, "states rows n D"]


@torch.no_grad()
def look_inside(
    model: JanusFlow,
    z: Float[Tensor, "B c H W"],
    t: float | Tensor,
    prompt: PromptPair,
    cache: PromptCache | None = None,
) -> Inside:
    """Evaluate the velocity once, and record attention and hidden states.

    The prompt's part is prefilled first, so all that is recorded belongs to the n new tokens. The
    model is left as it was: same attention, no hooks. It must not be compiled, because compiled
    stages do not call hooks.

    For the bundled model, 6 layers and 6 heads, "a red circle" (L = 6) and one image, `attention`
    has the shape [6, 2, 6, 37, 43]. For the released model it would be [24, 2, 16, 577, 597] with
    L = 20: 1 GB in float32.

    Args:
        model: what is looked into.
        z: the latents of B images.
        t: the time, one for all images or one for each.
        prompt: the prompts of the images.
        cache: `model.prefill(prompt)`, for callers that look at several steps. None computes it.
    """
    cache = model.prefill(prompt) if cache is None else cache
    recorder = _Recorder(model)
    try:
        v_cond, v_uncond = model.velocity(z, t, prompt, cache)
    finally:
        recorder.close()
    return Inside(v_cond, v_uncond, torch.stack(recorder.attention), torch.stack(recorder.hidden))


class _Recorder:
    """Hooks on the layers of a model, which keep what passes, and plain attention while they are there."""

    def __init__(self, model: JanusFlow):
        self.llama, self.before = model.llama, model.llama.config._attn_implementation
        self.attention: list[Tensor] = []
        self.hidden: list[Tensor] = []
        self.llama.set_attn_implementation("eager")
        self.hooks = [self.llama.layers[0].register_forward_pre_hook(self._keep_input)]
        for layer in self.llama.layers:
            self.hooks.append(layer.self_attn.register_forward_hook(self._keep_attention))
            self.hooks.append(layer.register_forward_hook(self._keep_output))

    def _keep_input(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.hidden.append(inputs[0])  # rows n D

    def _keep_output(self, layer: nn.Module, inputs: Any, output: Tensor) -> None:
        self.hidden.append(output)  # rows n D

    def _keep_attention(self, layer: nn.Module, inputs: Any, output: tuple[Tensor, Tensor]) -> None:
        self.attention.append(output[1])  # rows heads n L+n

    def close(self) -> None:
        """Remove the hooks and restore the attention."""
        for hook in self.hooks:
            hook.remove()
        self.llama.set_attn_implementation(self.before)
