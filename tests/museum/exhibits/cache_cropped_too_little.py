"""The time token of every step stays in the cache.

An ordinary KV cache must be cropped after each step, back to the L prompt tokens. It is easy to count the time token as
part of the prompt and to crop to one token more. Then each step leaves its time token behind, and the next step attends
to this outdated time. In the pictures, an object can disappear.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "cache:PromptCache.update",
        right="return keys, values",
        wrong="""length = prompt.keys.shape[2] + 1
        prompt.keys, prompt.values = keys[:, :, :length], values[:, :, :length]
        return keys, values""",
    ),
]
