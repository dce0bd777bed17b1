"""The formula that counts from s = 0 is given our w, so guidance is stronger by one.

Ho and Salimans write s = w - 1, so s = 0 means no guidance. Most code uses w, and there w = 1 means no guidance. People
ask about this again and again: https://github.com/lucidrains/denoising-diffusion-pytorch/issues/155,
https://github.com/huggingface/diffusers/issues/5882. If you ask for w = 2, the pictures are drawn with w = 3. They look
plausible, so the bug is hard to see. (The other mix-up, a paper's number s in our formula, is weaker by one.)
"""

from museum.plant import Change

CHANGES = [
    Change(
        "flow:guide",
        right="return weight * v_cond - (weight - 1) * v_uncond",
        wrong="return (1 + weight) * v_cond - weight * v_uncond",
    ),
]
