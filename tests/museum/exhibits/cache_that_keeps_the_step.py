"""The cache keeps each step's own keys and values.

Every cache of transformers appends what it is given, even if use_cache=False is passed with it
(https://github.com/huggingface/transformers/issues/37078). In text this is right, because past tokens never change.
Here the second step attends to the image tokens of the first, which are outdated. A cache that is stored also grows
with each use: https://github.com/MemTensor/MemOS/issues/2301. In the pictures, objects are slightly deformed.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "cache:PromptCache.update",
        right="return keys, values",
        wrong="""prompt.keys, prompt.values = keys, values
        return keys, values""",
    ),
]
