"""The images of several prompts are in the wrong order.

Two images each of the prompts a and b should stand as a a b b. With `repeat` in place of `repeat_interleave`, they
stand as a b a b. With one prompt, as in the pictures here, or with one image of each, both are the same, so small tests
pass. With more of both, users get pictures of another prompt.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "prompt:PromptPair.repeat_per_image",
        right='repeat(x, "rows ... -> (rows k) ...", k=self.images_per_prompt)',
        wrong='repeat(x, "(two P) ... -> (two k P) ...", two=2, k=self.images_per_prompt)',
    ),
]
