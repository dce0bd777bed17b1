"""An album: a file of prompts becomes a folder of pictures, shared out among processes, each made once.

A picture carries what it was asked for, so that a run which goes on never mixes two askings.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from accelerate import PartialState
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from tqdm.auto import tqdm

from janus_minimal.errors import InputError
from janus_minimal.files import make_directory, whole
from janus_minimal.pipeline import JanusFlowPipeline
from janus_minimal.prompt import PromptPair
from janus_minimal.request import Request
from janus_minimal.sheet import sheet

ASKED = "asked for"  # under which a PNG keeps its request


def read_prompts(file: Path) -> list[str]:
    """The lines of a text file that are not empty. Raises InputError."""
    try:
        prompts = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}; right would be a text file, a prompt on each line") from None
    if not prompts:
        raise InputError(f"{file} holds no prompt: right would be one on each line")
    return prompts


def make_album(pipe: JanusFlowPipeline, prompts: Sequence[str], like: Request, directory: Path) -> list[Path]:
    """Write picture i of prompt i, all that are not there yet, and name them all in order.

    Under `accelerate launch` every process does its share. Raises InputError before any work is done: for a prompt
    that is none, and for a picture that is there and was asked for otherwise.
    """
    PromptPair.from_text(prompts, pipe.tokenizer)
    make_directory(directory)
    paths = [directory / f"{i:05}.png" for i in range(len(prompts))]
    missing = [
        (path, request) for path, request in zip(paths, requests(prompts, like), strict=True) if not made(path, request)
    ]
    process = PartialState()
    process.wait_for_everyone()  # before anyone writes, so that all share out the same work
    mine = missing[process.process_index :: process.num_processes]
    for path, request in tqdm(mine, unit="sheet", disable=not process.is_main_process):
        write_picture(path, request, sheet(pipe.to_pictures(request.draw(pipe, progress=False)), columns=4))
    process.wait_for_everyone()
    return paths


def requests(prompts: Iterable[str], like: Request) -> list[Request]:
    """The same request for each prompt."""
    return [replace(like, prompt=prompt) for prompt in prompts]


def made(path: Path, request: Request) -> bool:
    """Whether the picture is there. Raises InputError if it is another one."""
    if not path.exists():
        return False
    try:
        with Image.open(path) as picture:
            asked = picture.info.get(ASKED)
    except (OSError, UnidentifiedImageError):
        asked = None
    if asked != str(request):
        raise InputError(f"{path} was asked for otherwise ({asked}): right would be another --out")
    return True


def write_picture(path: Path, request: Request, picture: Image.Image) -> None:
    """A PNG with its request in it, whole or not at all."""
    info = PngInfo()
    info.add_itxt(ASKED, str(request))
    with whole(path) as unfinished:
        picture.save(unfinished, format="png", pnginfo=info)
