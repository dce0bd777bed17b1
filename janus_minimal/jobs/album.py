"""An album: a file of prompts becomes a folder of pictures, one sheet for each prompt.

Several processes divide the prompts among themselves. A run that was interrupted continues with the missing sheets.
Every PNG stores its request as metadata, and a fingerprint of the model that drew it. A later run with another seed,
checkpoint, VAE or dtype, say, therefore stops instead of mixing its sheets with the old ones.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from accelerate import PartialState
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo
from tqdm.auto import tqdm

from janus_minimal.errors import InputError, PromptError
from janus_minimal.figures.contact_sheet import contact_sheet
from janus_minimal.jobs.identity import identity
from janus_minimal.jobs.request import Request
from janus_minimal.loading.atomic import atomic_write, make_directory
from janus_minimal.pipeline import JanusFlowPipeline

REQUEST_KEY, MODEL_KEY = "asked for", "drawn by"  # the names of the PNG text chunks
LONGEST = 2**24  # bytes of a file of prompts


def read_prompts(file: Path) -> list[str]:
    """Return the prompts in a text file, one a line. Empty lines are skipped.

    A line ends at a line break, as every editor shows it, and not at the page breaks and separators at which Python's
    `splitlines` cuts as well.

    Raises InputError if it is no plain file (a FIFO may never end), if it is larger than 16 MiB, if it is not UTF-8
    text (a byte order mark is accepted), or if it has no prompt.
    """
    right = "expected a text file, a prompt on each line"
    try:
        if file.exists() and not file.is_file():
            raise InputError(f"{file} is no plain file: {right}")
        with file.open("rb") as opened:
            content = opened.read(LONGEST + 1)
        if len(content) > LONGEST:
            raise InputError(f"{file} has more than {LONGEST:,} bytes: {right}")
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}; {right}") from None
    prompts = [line.strip() for line in re.split("[\r\n]", text) if line.strip()]
    if not prompts:
        raise InputError(f"{file} holds no prompt: expected one on each line")
    return prompts


def make_album(
    pipe: JanusFlowPipeline, prompts: Sequence[str], like: Request, directory: Path
) -> list[Path]:
    """Write the sheet of each prompt that is not in the directory yet. Return all paths, in the prompts' order.

    The sheet of prompt 0 is 00000.png, the next one 00001.png. All sheets have the settings of `like`; its own prompt
    is not used. Under `accelerate launch`, process k of n writes every n-th missing sheet, beginning with the k-th.

    Before anything is drawn, raises PromptError for a prompt that cannot be drawn, with its number, and InputError for
    no prompt at all, a directory that cannot be written and for an existing sheet that was made for another request.
    """
    if not prompts:
        raise InputError("an album of no prompts: expected at least one")
    requests = [replace(like, prompt=prompt) for prompt in prompts]
    for number, request in enumerate(requests, 1):
        try:
            request.check(pipe)
        except PromptError as error:
            raise PromptError(f"prompt {number}: {error}") from None
    make_directory(directory)
    paths, model = [directory / f"{i:05}.png" for i in range(len(prompts))], identity(pipe)
    sheets = zip(paths, requests, strict=True)
    missing = [(path, asked) for path, asked in sheets if not already_made(path, asked, model)]
    _draw(pipe, missing, model)
    return paths


def _draw(pipe: JanusFlowPipeline, missing: Sequence[tuple[Path, Request]], model: str) -> None:
    """Draw this process's share of the missing sheets, and wait until the others have drawn theirs."""
    process = PartialState()
    process.wait_for_everyone()  # nobody writes until all have listed the same missing sheets
    mine = missing[process.process_index :: process.num_processes]
    for path, request in tqdm(mine, unit="sheet", disable=not process.is_main_process):
        latents = request.draw(pipe, progress=False)
        sheet = contact_sheet(pipe.to_pictures(latents), columns=4)
        write_picture(path, request, sheet, model)
    process.wait_for_everyone()


def already_made(path: Path, request: Request, model: str) -> bool:
    """Return whether the sheet of this request, drawn by this model, is at `path`.

    Raises InputError if another file is there.
    """
    if not path.exists():
        return False
    asked, drawn_by = _stored(path)
    if asked is None:
        raise InputError(f"{path} is no sheet of an album: expected another --out")
    if asked != str(request):
        raise InputError(f"{path} was made for another request ({asked}): expected another --out")
    if drawn_by != model:
        raise InputError(
            f"{path} was drawn with another checkpoint, VAE, dtype or matrix precision: "
            "expected another --out"
        )
    return True


def _stored(path: Path) -> tuple[str | None, str | None]:
    """Return the request and the fingerprint that a PNG stores, None of what it does not.

    One that was copied in part or damaged stores nothing: Pillow compares each chunk with its checksum. No pixel is
    decoded, so a sheet may be larger than what Pillow takes for a bomb.
    """
    if not path.is_file():  # opening a FIFO would wait for somebody to write into it
        return None, None
    try:
        with PngImageFile(path) as picture:  # Image.open would try every format that it knows
            stored = picture.info.get(REQUEST_KEY), picture.info.get(MODEL_KEY)
            picture.verify()
            return stored
    except (OSError, SyntaxError, ValueError):  # Pillow raises each of them for a damaged file
        return None, None


def write_picture(path: Path, request: Request, picture: Image.Image, model: str) -> None:
    """Write a PNG that stores its request and its model's fingerprint as metadata, complete or not at all."""
    info = PngInfo()
    info.add_itxt(REQUEST_KEY, str(request))
    info.add_itxt(MODEL_KEY, model)
    with atomic_write(path) as unfinished:
        picture.save(unfinished, format="png", pnginfo=info)
