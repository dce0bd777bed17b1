"""The prompt pair: every image is computed twice per step, with its prompt and without it.

The problem. Classifier-free guidance needs two velocities, v(z, t, prompt) and v(z, t, no prompt).
Both come from one batch: a conditional row and an unconditional row for each image. This file makes
these rows: token ids, an attention mask, and position indices.

Step by step, for one prompt (`PromptPair.from_text`, then `from_ids`):

1. The text is put into the chat template that the model was trained with, and tokenised.
2. The last token, <begin_of_image>, is dropped. The time token takes its place in the sequence.
3. The conditional row holds the remaining L ids. All of them can be attended to.
4. The unconditional row has the same length. It keeps the first token (begin of sentence); padding
   replaces the others and is masked out. At least one token must stay: it anchors the sequence.

For the ids [1, 5, 6, 7, 9], where 9 is dropped, with padding id 0 (L = 4):

                     ids          attention_mask    positions    new tokens at
    conditional      1 5 6 7      1 1 1 1           0 1 2 3      4, 5, 6, ...
    unconditional    1 0 0 0      1 0 0 0           0 1 2 3      4, 5, 6, ...

Masked tokens keep their position indices. So the image starts at position 4 in both rows, and the
unconditional row still "knows" how long the prompt was, and nothing else about it. The official
demo draws this way. So the released weights were very likely trained this way (their training code
is not published), and we keep it.

Several prompts of different lengths can share a batch; this is our extension. Shorter ones are
padded on the left, so that every prompt ends where the time token begins. The padding is masked and
not counted in the positions, so every prompt gives the same result as it gives alone:

    [1, 5, 6, 7] and [1, 8]     ids 1 5 6 7    mask 1 1 1 1    positions 0 1 2 3
                                    0 0 1 8         0 0 1 1              0 0 0 1

    P  prompts        k  images of each prompt        B = P k  images in all
    L  prompt tokens of the longest prompt, after its last one is dropped
    n  new tokens: one time token and N image tokens

Sources: official demo/app_janusflow.py; JanusFlow (arXiv 2411.07975), section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from janus_minimal.errors import InputError, PromptError
from janus_minimal.loading.vocabulary import check_characters, check_words, encode, padding_id
from janus_minimal.runtime.checks import MOST_IMAGES, prompts_of, whole_number

ID_DTYPES = (torch.int64, torch.int32)  # those that a word table can be asked for
TAG = "<begin_of_image>"
TEMPLATE = f"User: {{prompt}}\n\nAssistant:{TAG}"


@dataclass(frozen=True)
class PromptRows:
    """Rows of prompt tokens: what they are, whether they may be attended to, and where they stand.

    Used for the prompts themselves (2P rows), for a batch of images (2B rows), and in training,
    where each example has one row.
    """

    ids: Int[Tensor, "rows L"]
    attention_mask: Bool[Tensor, "rows L"]
    positions: Int[Tensor, "rows L"]

    def __getitem__(self, index: Int[Tensor, "chosen"]) -> "PromptRows":
        """Select rows by number; a number may occur several times."""
        return PromptRows(self.ids[index], self.attention_mask[index], self.positions[index])

    def mask(self, new: int) -> Bool[Tensor, "rows seen"]:
        """Return which of the L + new tokens may be attended to. New tokens always may be.

        Causality is not part of this mask. transformers adds it: a token attends only to itself and
        to earlier tokens.
        """
        return torch.cat([self.attention_mask, self.attention_mask.new_ones(len(self.ids), new)], 1)

    def new_positions(self, new: int) -> Int[Tensor, "rows {new}"]:
        """Return the position indices of the new tokens: right after the prompt's last token.

        RoPE turns queries and keys by these indices, so they decide what "near" means to attention.
        """
        return self.positions[:, -1:] + 1 + torch.arange(new, device=self.positions.device)


@dataclass(frozen=True)
class PromptPair:
    """P conditional rows, then the P unconditional rows of the same prompts.

    It holds one row per prompt, not per image: all images of a prompt share its row, so the keys
    and values of the prompt are computed once. `batch` repeats the rows where one per image is
    needed.
    """

    rows: PromptRows
    images_per_prompt: int

    @classmethod
    def from_ids(
        cls, ids: Sequence[Int[Tensor, "_"]], images_per_prompt: int = 1, pad_id: int = 0
    ) -> "PromptPair":
        """Make the pair from token ids, one tensor per prompt, the last token still there.

        The module's docstring draws the result. `left` is the column where a prompt begins, 0 for
        the longest one. Columns before it are padding in both rows; the column itself holds the
        first token, the only one that the unconditional row keeps.

        Args:
            ids: for example [tensor([1, 5, 6, 7, 9])].
            images_per_prompt: how many images to draw of each prompt.
            pad_id: which id fills the masked places. It is never attended to, so any id will do.

        Raises:
            PromptError: for no prompt, or a prompt of fewer than two tokens or that is no tensor of
                whole numbers.
            InputError: for a number of images that is no whole number from 1.

        >>> pair = PromptPair.from_ids([torch.tensor([1, 5, 6, 7, 9])])
        >>> pair.rows.ids.tolist()
        [[1, 5, 6, 7], [1, 0, 0, 0]]
        >>> pair.rows.attention_mask.int().tolist()
        [[1, 1, 1, 1], [1, 0, 0, 0]]
        >>> pair.rows.positions.tolist()
        [[0, 1, 2, 3], [0, 1, 2, 3]]
        """
        _check(ids, images_per_prompt)
        device, length = ids[0].device, max(map(len, ids)) - 1
        left = torch.tensor([[length + 1 - len(row)] for row in ids], device=device)  # P 1
        column = torch.arange(length, device=device)  # L
        padded = [F.pad(row[:-1], (length + 1 - len(row), 0), value=pad_id) for row in ids]
        cond = torch.stack(padded)  # P L
        uncond = torch.where(column == left, cond, pad_id)  # P L
        rows = PromptRows(
            ids=torch.cat([cond, uncond]),
            attention_mask=torch.cat([column >= left, column == left]),
            positions=repeat((column - left).clamp(min=0), "P L -> (two P) L", two=2),
        )
        return cls(rows, images_per_prompt)

    @classmethod
    def from_text(
        cls,
        prompts: str | Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        images_per_prompt: int = 1,
    ) -> "PromptPair":
        """Make the pair from text: strip it, fill the chat template, tokenise.

        Raises:
            PromptError: for what is no text, an empty prompt, or a word that the tokenizer does not
                know. Drawing something else without a word would be worse than an error.
        """
        tokens = [_tokenize(prompt.strip(), tokenizer) for prompt in prompts_of(prompts)]
        ids = [torch.tensor(row, device="cpu") for row in tokens]  # whatever torch's default is
        return cls.from_ids(ids, images_per_prompt, padding_id(tokenizer))

    @property
    def num_images(self) -> int:
        """B, the number of images in all."""
        return len(self.rows.ids) // 2 * self.images_per_prompt

    def batch(self) -> PromptRows:
        """Return one row per image: B conditional rows, then B unconditional rows.

        The images of one prompt stand together. The order is JanusFlow's; diffusers puts the
        unconditional half first, and whoever mixes the two pushes away from the prompt.

        >>> PromptPair.from_ids([torch.tensor([1, 5, 9])], images_per_prompt=2).batch().ids.tolist()
        [[1, 5], [1, 5], [1, 0], [1, 0]]
        """
        rows = torch.arange(len(self.rows.ids), device=self.rows.ids.device)
        return self.rows[self.repeat_per_image(rows)]

    def repeat_per_image(self, x: Tensor) -> Tensor:
        """Repeat each of 2P entries for the k images of its prompt: 2B entries."""
        return repeat(x, "rows ... -> (rows k) ...", k=self.images_per_prompt)

    def to(self, device: torch.device | str) -> "PromptPair":
        """Return the same pair on another device."""
        ids, mask, positions = self.rows.ids, self.rows.attention_mask, self.rows.positions
        rows = PromptRows(ids.to(device), mask.to(device), positions.to(device))
        return PromptPair(rows, self.images_per_prompt)

    def with_prompt_dropout(self, dropped: Bool[Tensor, "P"]) -> PromptRows:
        """Return one row per prompt for training: unconditional where dropped, else conditional.

        Why: one network must learn both velocities that guidance needs. JanusFlow drops 10 % of the
        prompts. A dropped example gets exactly the row that guidance will use later.
        """
        number = len(dropped)
        return self.rows[torch.arange(number, device=dropped.device) + number * dropped]

    def equals(self, other: "PromptPair") -> bool:
        """Return whether the other pair has the same rows and as many images of each."""
        pairs = zip(vars(self.rows).values(), vars(other.rows).values(), strict=True)
        same = all(torch.equal(ours, theirs) for ours, theirs in pairs)
        return same and self.images_per_prompt == other.images_per_prompt

    def check_latents(self, z: Float[Tensor, "_ c H W"]) -> None:
        """Raise InputError unless there is one latent for each image."""
        if len(z) != self.num_images:
            raise InputError(
                f"{len(z)} latents for a prompt pair of {self.num_images} images: "
                "expected one latent for each image"
            )


def duplicate_for_cfg(
    *tensors: Float[Tensor, "B ..."],
) -> tuple[Float[Tensor, "2*B ..."], ...]:
    """Repeat each tensor along the batch: B entries become 2B, the same B twice.

    Why: up to the language model, the conditional and the unconditional row of an image are equal,
    because neither latent nor time depends on the prompt. So the encoder runs on B images, and its
    results are duplicated here, where the prompt enters.

    >>> duplicate_for_cfg(torch.tensor([1.0, 2.0]))
    (tensor([1., 2., 1., 2.]),)
    """
    return tuple(repeat(tensor, "B ... -> (two B) ...", two=2) for tensor in tensors)


def _check(ids: Sequence[Tensor], images_per_prompt: int) -> None:
    if not isinstance(ids, Sequence) or not all(
        isinstance(row, Tensor) and row.ndim == 1 and row.dtype in ID_DTYPES for row in ids
    ):
        raise PromptError("ids should be a list with a tensor of token ids for each prompt")
    whole_number("images_per_prompt", images_per_prompt, MOST_IMAGES)
    if not ids:
        raise PromptError("ids hold no prompt: expected at least one")
    if min(map(len, ids)) < 2:
        raise PromptError(
            "a prompt needs at least two tokens: the first stays in the unconditional row, "
            "the last is replaced by the time token"
        )


def _tokenize(prompt: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    if not prompt:
        raise PromptError('the prompt is empty: say what to draw, for example "a red circle"')
    check_characters(prompt)
    check_words(prompt, tokenizer)
    return encode(tokenizer, TEMPLATE.format(prompt=prompt))
