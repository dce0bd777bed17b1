"""The cache is cropped by one token too many.

The prompt's last token was already dropped before the cache was filled, so it is easy to subtract it from the length
once more. transformers' own crop(0) and crop(-n) have also behaved unexpectedly:
https://github.com/huggingface/transformers/issues/47433. The image can then not attend to the last token of the prompt.
The pictures change so little that nobody notices.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "cache:PromptCache.__init__",
        right="super().update(keys, values, index)",
        wrong="super().update(keys[:, :, :-1], values[:, :, :-1], index)",
    ),
]
