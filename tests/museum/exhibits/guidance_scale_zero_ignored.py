"""A guidance scale of 0 is taken for none at all.

`guidance_scale or cfg_weight` is shorter than a comparison with None. But 0 counts as false in Python, so whoever asks
for pictures without the prompt gets them with weight 2. No error is raised. The pictures here do not change, because
their weight is 2.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "pipeline:JanusFlowPipeline.__call__",
        right="cfg_weight if guidance_scale is None else guidance_scale",
        wrong="guidance_scale or cfg_weight",
    ),
]
