"""An album: a file of prompts becomes a folder of pictures, one sheet for each prompt.

Several processes divide the prompts among themselves. A run that was interrupted continues with the missing sheets.
Every PNG stores its request as metadata. A later run with another seed, say, therefore stops instead of mixing its
sheets with the old ones.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from accelerate import PartialState
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from tqdm.auto import tqdm

from janus_minimal.errors import InputError
from janus_minimal.figures.contact_sheet import contact_sheet
from janus_minimal.jobs.request import Request
from janus_minimal.loading.atomic import atomic_write, make_directory
from janus_minimal.pipeline import JanusFlowPipeline
from janus_minimal.prompt import PromptPair

REQUEST_KEY = "asked for"  # the name of the PNG text chunk that stores the request


def read_prompts(file: Path) -> list[str]:
    """Return the prompts in a text file, one a line. Empty lines are skipped.

    Raises InputError if the file cannot be read as UTF-8 text, or if it has no prompt.
    """
    try:
        prompts = [
            line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()
        ]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file} cannot be read: {error}; expected a text file, a prompt on each line"
        ) from None
    if not prompts:
        raise InputError(f"{file} holds no prompt: expected one on each line")
    return prompts


def make_album(
    pipe: JanusFlowPipeline, prompts: Sequence[str], like: Request, directory: Path
) -> list[Path]:
    """Write the sheet of each prompt that is not in the directory yet. Return all paths, in the prompts' order.

    The sheet of prompt 0 is 00000.png, the next one 00001.png. All sheets have the settings of `like`; its own prompt
    is not used. Under `accelerate launch`, process k of n writes every n-th missing sheet, beginning with the k-th.

    Raises InputError, before anything is drawn, for a prompt that cannot be drawn, for a directory that cannot be
    written, and for an existing sheet that was made for another request.
    """
    PromptPair.from_text(prompts, pipe.tokenizer)
    make_directory(directory)
    paths = [directory / f"{i:05}.png" for i in range(len(prompts))]
    requests = [replace(like, prompt=prompt) for prompt in prompts]
    sheets = zip(paths, requests, strict=True)
    _draw(pipe, [(path, request) for path, request in sheets if not already_made(path, request)])
    return paths


def _draw(pipe: JanusFlowPipeline, missing: Sequence[tuple[Path, Request]]) -> None:
    """Draw this process's share of the missing sheets, and wait until the others have drawn theirs."""
    process = PartialState()
    process.wait_for_everyone()  # nobody writes until all have listed the same missing sheets
    mine = missing[process.process_index :: process.num_processes]
    for path, request in tqdm(mine, unit="sheet", disable=not process.is_main_process):
        latents = request.draw(pipe, progress=False)
        write_picture(path, request, contact_sheet(pipe.to_pictures(latents), columns=4))
    process.wait_for_everyone()


def already_made(path: Path, request: Request) -> bool:
    """Return whether the sheet of this request is at `path`. Raises InputError if another file is there."""
    if not path.exists():
        return False
    try:
        with Image.open(path) as picture:
            asked = picture.info.get(REQUEST_KEY)
    except (OSError, UnidentifiedImageError):
        asked = None
    if asked != str(request):
        raise InputError(f"{path} was made for another request ({asked}): expected another --out")
    return True


def write_picture(path: Path, request: Request, picture: Image.Image) -> None:
    """Write a PNG that stores its request as metadata. If the process is killed, there is no file."""
    info = PngInfo()
    info.add_itxt(REQUEST_KEY, str(request))
    with atomic_write(path) as unfinished:
        picture.save(unfinished, format="png", pnginfo=info)
