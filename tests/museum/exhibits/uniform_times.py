"""Training times are uniform, not logit-normal.

The first papers on flow matching draw t uniformly, and so do most tutorials. Many training steps are then spent near
t = 0 and t = 1, and few in the middle, which is the harder part. Nothing fails, and only the statistics of t can show
it. The pictures here do not change, because the bundled model is already trained.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "training.batch:draw_batch",
        right="t=(LOGIT_MEAN + LOGIT_STD * torch.randn(batch_size, generator=generator)).sigmoid()",
        wrong="t=torch.rand(batch_size, generator=generator)",
    ),
]
