"""The prompt pair: every image is asked for twice, with its words and without them.

    P  prompts             k  images of each              B = P k  images
    L  prompt tokens of the longest prompt, after the last one is dropped
    n  new tokens: the time token and the N image tokens

Official source: demo/app_janusflow.py, whose rows, mask and positions these are. Prompts of different lengths in
one batch are ours: they are padded on the left, and each row keeps the positions that it would have alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from janus_minimal.errors import CheckpointError, PromptError

TAG = "<begin_of_image>"
TEMPLATE = f"User: {{prompt}}\n\nAssistant:{TAG}"


@dataclass(frozen=True)
class PromptRows:
    """Rows of prompt tokens, with what the later tokens may see of them and where in the sequence they stand."""

    ids: Int[Tensor, "rows L"]
    visible: Bool[Tensor, "rows L"]
    positions: Int[Tensor, "rows L"]

    def __getitem__(self, index: Int[Tensor, "chosen"]) -> "PromptRows":
        """The rows of these numbers."""
        return PromptRows(self.ids[index], self.visible[index], self.positions[index])

    def mask(self, new: int) -> Bool[Tensor, "rows seen"]:
        """Which of the L + new tokens may be seen at all (causality comes on top): the new ones always."""
        return torch.cat([self.visible, self.visible.new_ones(len(self.ids), new)], dim=1)

    def new_positions(self, new: int) -> Int[Tensor, "rows {new}"]:
        """Where the new tokens stand: right after the prompt, hidden or not. Hiding does not renumber."""
        return self.positions[:, -1:] + 1 + torch.arange(new, device=self.positions.device)


@dataclass(frozen=True)
class PromptPair:
    """P conditional rows, then the same prompts' P unconditional rows; `images_per_prompt` images of each."""

    rows: PromptRows
    images_per_prompt: int

    @classmethod
    def from_ids(cls, ids: Sequence[Int[Tensor, "_"]], images_per_prompt: int = 1, pad_id: int = 0) -> "PromptPair":
        """One tensor of token ids per prompt, the last token still there: it is dropped, the time takes its place.

        The unconditional row keeps the first token alone, and the length: padding fills the rest, hidden.
        Raises PromptError for no prompt, one of fewer than two tokens, or fewer than one image.
        """
        _check(ids, images_per_prompt)
        device, length = ids[0].device, max(map(len, ids)) - 1
        left = torch.tensor([[length + 1 - len(row)] for row in ids], device=device)  # P 1
        column = torch.arange(length, device=device)  # L
        cond = torch.stack([F.pad(row[:-1], (length + 1 - len(row), 0), value=pad_id) for row in ids])
        uncond = torch.where(column == left, cond, pad_id)
        rows = PromptRows(
            ids=torch.cat([cond, uncond]),
            visible=torch.cat([column >= left, column == left]),
            positions=repeat((column - left).clamp(min=0), "P L -> (two P) L", two=2),
        )
        return cls(rows, images_per_prompt)

    @classmethod
    def from_text(
        cls, prompts: str | Sequence[str], tokenizer: PreTrainedTokenizerBase, images_per_prompt: int = 1
    ) -> "PromptPair":
        """Fill the chat template and tokenise. Raises PromptError for an empty prompt or an unknown word."""
        prompts = [prompts] if isinstance(prompts, str) else prompts
        ids = [torch.tensor(_tokenize(prompt.strip(), tokenizer)) for prompt in prompts]
        return cls.from_ids(ids, images_per_prompt, _pad_id(tokenizer))

    @property
    def images(self) -> int:
        """B, the number of images asked for."""
        return len(self.rows.ids) // 2 * self.images_per_prompt

    def batch(self) -> PromptRows:
        """The 2B rows of the batch: B conditional, then B unconditional, the images of one prompt together."""
        return self.rows[self.of_batch(torch.arange(len(self.rows.ids), device=self.rows.ids.device))]

    def of_batch(self, x: Tensor) -> Tensor:
        """From one entry per prompt row (2P) to one per batch row (2B)."""
        return repeat(x, "rows ... -> (rows k) ...", k=self.images_per_prompt)

    def to(self, device: torch.device | str) -> "PromptPair":
        """The same pair on another device."""
        rows = PromptRows(self.rows.ids.to(device), self.rows.visible.to(device), self.rows.positions.to(device))
        return PromptPair(rows, self.images_per_prompt)

    def drop(self, dropped: Bool[Tensor, "P"]) -> PromptRows:
        """One row per prompt for training: its unconditional form where dropped, else the conditional one."""
        number = len(dropped)
        return self.rows[torch.arange(number, device=dropped.device) + number * dropped]


def both(*tensors: Float[Tensor, "B ..."]) -> tuple[Float[Tensor, "two_B ..."], ...]:
    """Each tensor of one entry per image (B) twice over (2B): what enters the rows with the words and those without."""
    return tuple(repeat(tensor, "B ... -> (two B) ...", two=2) for tensor in tensors)


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> None:
    """Raise CheckpointError unless prompts of the official form can be made with it."""
    ids = tokenizer.encode(TEMPLATE)
    if tokenizer.encode(TAG, add_special_tokens=False) != [tokenizer.get_vocab().get(TAG)]:
        raise CheckpointError(
            f"the tokenizer has no token {TAG}: it cuts it into pieces, of which one would be dropped"
        )
    if tokenizer.bos_token_id is None or ids[0] != tokenizer.bos_token_id:
        raise CheckpointError("the tokenizer begins no text with a token of its own: the row without words keeps it")
    _pad_id(tokenizer)
    if len(tokenizer) > vocab_size:
        raise CheckpointError(f"the tokenizer has {len(tokenizer)} tokens, the model knows {vocab_size}")


def _pad_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The padding token, or where there is none, as in the official code, the end of the sentence."""
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None:
            return token
    raise CheckpointError("the tokenizer has neither a padding token nor an end-of-sentence token: one is needed")


def _check(ids: Sequence[Tensor], images_per_prompt: int) -> None:
    if not ids or images_per_prompt < 1:
        raise PromptError(
            f"{len(ids)} prompts, {images_per_prompt} images of each: right would be at least one of both"
        )
    if min(map(len, ids)) < 2:
        raise PromptError("a prompt needs at least two tokens: the first stays in both rows, the last gives way to t")


def _tokenize(prompt: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    if not prompt:
        raise PromptError('the prompt is empty: say what to draw, for example "a red circle"')
    unknown = [
        word for word in prompt.split() if tokenizer.unk_token_id in tokenizer.encode(word, add_special_tokens=False)
    ]
    if unknown:
        known = [word for word in sorted(tokenizer.get_vocab()) if word.isalpha()]
        raise PromptError(f'the tokenizer does not know "{unknown[0]}"; it knows: {", ".join(known)}')
    return tokenizer.encode(TEMPLATE.format(prompt=prompt))
