"""The times are computed in bfloat16.

bfloat16 has only 8 bits of precision: 1/30 becomes 0.033447, and thirty such steps end at t = 1.0034. The official demo
keeps t, dt and z in bfloat16. In other projects, the time that the network is told was rounded in this way:
https://github.com/huggingface/diffusers/issues/9405. No difference can be seen in the pictures, but every path goes
beyond t = 1.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "flow:time_grid",
        right='u = torch.arange(steps + 1, dtype=torch.float32, device="cpu") / steps',
        wrong="""dt = torch.tensor(1 / steps, dtype=torch.bfloat16)
    u = torch.arange(steps + 1, dtype=torch.float32, device="cpu") * dt.float()""",
    ),
]
