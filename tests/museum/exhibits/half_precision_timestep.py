"""The timestep is rounded to the dtype of the network's weights.

Casting all inputs to the weights' dtype is one tidy line of code, so it is easy to cast the time as well. In bfloat16,
the timestep 967 becomes 968: https://github.com/modelscope/DiffSynth-Studio/issues/562,
https://github.com/kohya-ss/musubi-tuner/pull/729. The network is then told a wrong time. With float32 weights, as in
the pictures here, nothing changes, so tests in float32 do not find the bug.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "model:JanusFlow.encode",
        right="1000 * t.to(z.device).expand(len(z))",
        wrong="(1000 * t).to(z.device, self.dtype).expand(len(z))",
    ),
]
