"""A contact sheet: several pictures in one, in rows and columns on a white background."""

from collections.abc import Sequence

from diffusers.utils import make_image_grid
from PIL import Image, ImageOps

from janus_minimal.errors import InputError
from janus_minimal.runtime.checks import MOST_IMAGES, whole_number

TILE = 192  # pixels; a smaller picture is enlarged by a whole number, so that each of its pixels becomes a square
BORDER = 8  # pixels of white between two pictures, and around them


def contact_sheet(pictures: Sequence[Image.Image], columns: int) -> Image.Image:
    """Place pictures of one size row by row. The last row may be shorter, and its rest stays white.

    Four pictures of 96 x 96 in `columns=3` are enlarged to 192 x 192 and fill two rows. The sheet has the size
    3 * (192 + 8) + 8 = 608 by 2 * (192 + 8) + 8 = 408.

    Raises InputError unless there are pictures, all of one size, and at least one column.
    """
    sizes = {picture.size for picture in pictures}
    if len(sizes) != 1:
        raise InputError(f"pictures of {len(sizes)} sizes on a sheet: expected some of one size")
    tiles = [_tile(picture) for picture in pictures]
    columns = min(whole_number("columns", columns, MOST_IMAGES), len(tiles))
    tiles += [Image.new("RGB", tiles[0].size, "white")] * (-len(tiles) % columns)
    grid = make_image_grid(tiles, len(tiles) // columns, columns)
    return _with_border(grid)


def _tile(picture: Image.Image) -> Image.Image:
    """Enlarge a picture without smoothing, and put half of the border on each side."""
    factor = max(1, TILE // picture.width)
    return _with_border(ImageOps.scale(picture, factor, Image.Resampling.NEAREST))


def _with_border(picture: Image.Image) -> Image.Image:
    """Add half of the border on each side. Two neighbours then have a whole one between them."""
    return ImageOps.expand(picture, BORDER // 2, "white")
