"""S times for S steps: one step too few.

linspace(0, 1, S) has S points but only S - 1 gaps. A loop over the gaps takes S - 1 steps, and each is too long:
https://github.com/SWivid/F5-TTS/pull/527. The path still ends at t = 1, so the pictures are nearly right and the bug is
hard to see.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "flow:time_grid",
        right='torch.arange(steps + 1, dtype=torch.float32, device="cpu") / steps',
        wrong='torch.linspace(0, 1, max(steps, 2), device="cpu")',
    ),
]
