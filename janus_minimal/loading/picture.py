"""A user's picture or mask, read from a file."""

from pathlib import Path

from PIL import Image, ImageOps

from janus_minimal.errors import InputError, one_line

FORMATS = ("PNG", "JPEG", "WEBP")  # of all that Pillow knows; some others start other programs


def read_picture(path: Path) -> Image.Image:
    """Read a PNG, JPEG or WebP file, and turn it upright as its EXIF data say.

    Raises InputError unless the file is a plain file (opening a FIFO would wait for ever) and holds
    a whole picture of a reasonable size.
    """
    right = "expected a PNG, JPEG or WebP file"
    if not path.is_file():
        raise InputError(f"{path} holds no picture: missing, or no plain file; {right}")
    try:
        with Image.open(path, formats=FORMATS) as picture:
            picture.load()
            return ImageOps.exif_transpose(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} holds no picture: {one_line(error, 100)}; {right}") from None


def read_mask(path: Path, picture: Image.Image) -> Image.Image:
    """Read the mask of a picture. Raises InputError unless both have one size.

    A mask of another size would mark other places than its maker saw.
    """
    mask = read_picture(path)
    if mask.size != picture.size:
        sizes = [f"{width} x {height}" for width, height in (mask.size, picture.size)]
        raise InputError(f"{path} has {sizes[0]} pixels: expected the picture's {sizes[1]}")
    return mask
