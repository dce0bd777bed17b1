"""The whole prompt is fed at every step, and the cache keeps everything.

Some ports of the official loop hand each step's cache on to the next, go on feeding prompt, time and image, and never
crop. The cache grows by the whole sequence at each step, and the mask covers only the first part of it. Recent versions
of transformers run this without an error. Each step then attends to an early state of the image. Here the cache holds
the prompt from the start, so the first step is wrong too. In the pictures, the edges of objects are bent.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "cache:PromptCache.update",
        right="return keys, values",
        wrong="""prompt.keys, prompt.values = keys, values
        return keys, values""",
    ),
    Change(
        "model:JanusFlow.backbone",
        right="""if cache is None:
            tokens = torch.cat([self._embed(rows), tokens], dim=1)  # r L+n D
            positions = torch.cat([rows.positions, positions], dim=1)  # r L+n""",
        wrong="""tokens = torch.cat([self._embed(rows), tokens], dim=1)  # r L+n D
        positions = torch.cat([rows.positions, positions], dim=1)  # r L+n""",
    ),
]
