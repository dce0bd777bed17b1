"""The unconditional row keeps the prompt.

If padding and mask are forgotten in the unconditional row, v_cond = v_uncond. Guidance then does nothing at any weight,
and no error is raised. Every picture is drawn without guidance and is only a little dull, so the bug is hard to see:
https://github.com/QiaoyuHu89/DiffGui/issues/5 reports it of a published model.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "prompt:PromptPair.from_ids",
        right="uncond = torch.where(column == left, cond, pad_id)",
        wrong="uncond = cond",
    ),
    Change(
        "prompt:PromptPair.from_ids",
        right="torch.cat([column >= left, column == left])",
        wrong="torch.cat([column >= left, column >= left])",
    ),
]
