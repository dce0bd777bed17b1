"""Representation alignment (REPA): a second loss that hands over what a trained encoder has seen.

The problem. From the velocity loss alone, the language model has to discover what is in a picture.
A frozen encoder f_enc that was trained to understand pictures knows it already. So the features of
the noisy latent inside the language model are pulled towards the encoder's features of the clean
picture. This is JanusFlow's equation 8:

    L_REPA = - E sim(stop_grad(f_enc(x)), h(q(z_t)))

    q    hidden states of the image tokens after a middle block (the paper: the 6th of 24)
    h    the projector, a network of three linear layers, which is trained along
    sim  the cosine of two feature vectors, averaged over all places of the picture

Nothing of this is needed to draw. The projector is thrown away after training, and the checkpoint
stays the same.

    b  examples     N = h w  image tokens     D  width of the language model     K  encoder features

Sources: JanusFlow (arXiv 2411.07975), section 3; REPA (arXiv 2410.06940), section 3.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from janus_minimal.errors import InputError
from janus_minimal.model import JanusFlow
from janus_minimal.training.batch import Batch
from janus_minimal.training.loss import flow_loss


class AlignedFlow(nn.Module):
    """A model with its projector. Its forward call returns the whole loss of a batch.

        loss = L_RF + coefficient * L_REPA

    Why the loss is computed in `forward`: data-parallel training averages the gradients of what
    forward computes. Why a hook: the model is not changed, so it is saved and drawn from as always.

    Args:
        model: the model to train. It is not copied.
        features: K, the number of features that the encoder gives for each place.
        block: features of the language model are taken after this block, counted from 1.

    Raises:
        InputError: if the language model has no such block.
    """

    def __init__(self, model: JanusFlow, features: int, block: int) -> None:
        super().__init__()
        _layer(model, block)  # raises
        self.model, self.block = model, block
        self.projector = build_projector(model.config.language.hidden_size, features)

    def forward(
        self,
        batch: Batch,
        target: Float[Tensor, "b K height width"],
        pad_id: int,
        coefficient: float,
    ) -> Float[Tensor, ""]:
        """Return the loss of a batch.

        Args:
            batch: the examples.
            target: f_enc(x), the encoder's features of the batch's clean pictures, on its own grid.
            pad_id: the id that fills the masked places of the prompts.
            coefficient: of L_REPA. The paper adds the two losses, so there it is 1.
        """
        with hidden_after(self.model, self.block) as kept:
            velocity_loss = flow_loss(self.model, batch, pad_id)
        side = batch.z_1.shape[-1] // self.model.config.encoder.stride
        image_tokens = kept[0][:, -(side**2) :]  # b N D: the prompt and the time token stand before
        projected = rearrange(self.projector(image_tokens), "b (h w) K -> b K h w", h=side)
        return velocity_loss + coefficient * alignment_loss(target, projected)


def alignment_loss(
    target: Float[Tensor, "b K height width"], projected: Float[Tensor, "b K h w"]
) -> Float[Tensor, ""]:
    """Return minus the mean cosine between the encoder's features and the projected ones.

    The value lies between -1 (all feature vectors point the same way) and 1. The grids are made
    equal first: the encoder's features are averaged over the places that one image token covers.
    The gradient stops at the encoder's features. Otherwise the encoder could become constant, and
    the loss would be perfect and say nothing.

    >>> import torch
    >>> features = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)
    >>> round(alignment_loss(features, 10 * features).item(), 3)
    -1.0
    >>> round(alignment_loss(features, torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1)).item(), 3)
    -0.6
    """
    _, _, h, w = projected.shape
    pooled = F.adaptive_avg_pool2d(target.detach(), (h, w))  # b K h w
    return -F.cosine_similarity(pooled, projected, dim=1).mean()


def build_projector(width: int, features: int) -> nn.Sequential:
    """Return h: three linear layers from the width of the language model to the encoder's features."""
    first, second, last = (
        nn.Linear(width, width),
        nn.Linear(width, width),
        nn.Linear(width, features),
    )
    return nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), last)


@contextmanager
def hidden_after(model: JanusFlow, block: int) -> Iterator[list[Float[Tensor, "b n D"]]]:
    """Give a list that receives the hidden states after a block at each call of the model.

    The block is counted from 1. The hidden states hold a row for each token: prompt, time, image.
    Raises InputError if there is no such block.
    """
    kept: list[Tensor] = []
    layer = _layer(model, block)
    with layer.register_forward_hook(lambda module, inputs, hidden: kept.append(hidden)):
        yield kept


def _layer(model: JanusFlow, block: int) -> nn.Module:
    """Return a block of the language model, counted from 1. Raises InputError if there is none."""
    number = len(model.llama.layers)
    if not 1 <= block <= number:
        raise InputError(f"block {block} of the language model: expected 1 to {number}")
    return model.llama.layers[block - 1]
