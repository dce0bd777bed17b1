"""A user's picture or mask, read from a file."""

import os
from pathlib import Path

from PIL import Image, ImageOps

from janus_minimal.errors import InputError, quoted

FORMATS = ("PNG", "JPEG", "WEBP")  # of all that Pillow knows; some others start other programs


def read_picture(path: Path) -> Image.Image:
    """Read a PNG, JPEG or WebP file, and turn it upright as its EXIF data say.

    Raises InputError unless the file is a plain file (opening a FIFO would wait for ever) and holds
    a whole picture of a reasonable size. A full memory is no fault of the file: MemoryError stays.
    """
    right = "expected a PNG, JPEG or WebP file"
    if not os.path.isfile(path):  # Path.is_file raises in a folder that may not be entered
        raise InputError(f"{path} holds no picture: missing, or no plain file; {right}")
    try:
        with Image.open(path, formats=FORMATS) as picture:
            picture.load()
            return _upright(picture)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises nearly anything, as of a chunk behind the pixels
        raise InputError(f"{path} holds no picture: {_reason(error)}; {right}") from None


def read_mask(path: Path, picture: Image.Image) -> Image.Image:
    """Read the mask of a picture. Raises InputError unless both have one size.

    A mask of another size would mark other places than its maker saw.
    """
    mask = read_picture(path)
    if mask.size != picture.size:
        sizes = [f"{width} x {height}" for width, height in (mask.size, picture.size)]
        raise InputError(f"{path} has {sizes[0]} pixels: expected the picture's {sizes[1]}")
    return mask


def to_rgb(picture: Image.Image) -> Image.Image:
    """Return an upright picture in red, green and blue; transparent parts become white.

    Raises InputError for what is no picture, such as the name of one, for one of more than 8 bits a
    channel, or with damaged metadata.
    """
    if not isinstance(picture, Image.Image):
        kind = type(picture).__name__
        raise InputError(f"the picture is a {kind}: expected a PIL.Image, as Image.open gives it")
    if picture.mode.startswith(("I", "F")):  # Pillow would clip 16 bits to 255: all white
        raise InputError(f"a picture of mode {picture.mode}: expected 8 bits a channel")
    upright = _upright(picture)
    try:
        if not upright.has_transparency_data:
            return upright.convert("RGB")
        layer = upright.convert("RGBA")
    except MemoryError:
        raise
    except Exception as error:  # of a PNG's text that is called transparency, Pillow makes one
        raise InputError(
            f"the picture's colours are damaged ({_reason(error)}): expected whole ones"
        ) from None
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _upright(picture: Image.Image) -> Image.Image:
    """Turn a picture as its EXIF data say. Raises InputError if they are damaged."""
    try:
        return ImageOps.exif_transpose(picture)
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises nearly anything, and for a JPEG only the second time
        raise InputError(
            f"the picture's EXIF data are damaged ({_reason(error)}): expected none, or whole ones"
        ) from None


def _reason(error: Exception) -> str:
    """Return what Pillow says, or the kind of error of which it says nothing."""
    return quoted(error) or type(error).__name__
