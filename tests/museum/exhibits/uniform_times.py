"""Training times are uniform, not logit-normal.

The first papers on flow matching draw t uniformly, as do most tutorials. The bundled recipe draws more times between
0.1 and 0.3, where a wrong caption costs most, and fewer near t = 1, where the latent already shows the picture. Uniform
times spend a third of the steps above 0.67. Nothing fails, and only the statistics of t can show it. The pictures here
do not change, because the bundled model is already trained.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "training.batch:draw_batch",
        right="t=(LOGIT_MEAN + LOGIT_STD * torch.randn(batch_size, generator=generator)).sigmoid()",
        wrong="t=torch.rand(batch_size, generator=generator)",
    ),
]
