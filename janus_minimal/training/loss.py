"""The loss of rectified flow: predict the velocity of the straight line from noise to data."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from janus_minimal.flow import interpolate
from janus_minimal.prompt import PromptPair
from janus_minimal.training.batch import Batch


def flow_loss(network: nn.Module, batch: Batch, pad_id: int) -> Float[Tensor, ""]:
    """Return the mean squared error of the predicted velocity: the paper's L_RF, without L_REPA.

        L_RF = E || v(z_t, t | prompt) - (z_1 - z_0) ||^2,    z_t = (1 - t) z_0 + t z_1

    This is JanusFlow's equation 3, written for latents and prompts in its equation 7. The paper
    trains generation with L_RF + L_REPA. L_REPA (equation 8) compares features inside the language
    model with those of the understanding encoder. alignment.py has it in miniature; the bundled
    model was trained without it. The paper's FID without it is 19.84 instead of 17.61 (table 6).

    Two details. The mean is taken over all numbers of the latents, so the value is the paper's
    divided by c H W; the gradient only changes its scale. And `batch.dropped` replaces some prompts
    by their unconditional row, so that one network learns both velocities that guidance needs.

    What the value means: a network that always answers 0 has a loss of about 2, the variance of
    z_1 - z_0 (1 from the latents, 1 from the noise). The loss never reaches 0. Many lines pass
    through one z_t, the best answer is their average velocity, and their spread around it is left.

    Args:
        network: a JanusFlow, or the data-parallel wrapper around it. It is called with
            (z_t, t, rows) and returns a velocity [b, c, H, W].
        batch: the examples, on the network's device.
        pad_id: the id that fills the masked places of the prompts.
    """
    z_t, target = interpolate(batch.z_0, batch.z_1, batch.t)  # b c H W each
    rows = PromptPair.from_ids(batch.ids, pad_id=pad_id).with_prompt_dropout(batch.dropped)
    return F.mse_loss(network(z_t, batch.t, rows), target)
