"""The prompt's last token is kept, and the time token follows it.

In training, and most likely in that of the released model, the time token takes the place of <begin_of_image>. It is
easy to append the time token instead, because the tokenised prompt ends with <begin_of_image>. Then every position
after the prompt is one too high. The pictures change so little that nobody notices.
"""

from museum.plant import Change

CHANGES = [
    Change(
        "prompt:PromptPair.from_ids",
        right="device, length = ids[0].device, max(map(len, ids)) - 1",
        wrong="device, length = ids[0].device, max(map(len, ids))",
    ),
    Change(
        "prompt:PromptPair.from_ids",
        right="torch.tensor([[length + 1 - len(row)] for row in ids], device=device)",
        wrong="torch.tensor([[length - len(row)] for row in ids], device=device)",
    ),
    Change(
        "prompt:PromptPair.from_ids",
        right="F.pad(row[:-1], (length + 1 - len(row), 0), value=pad_id)",
        wrong="F.pad(row, (length - len(row), 0), value=pad_id)",
    ),
]
