"""A contact sheet: pictures side by side, large enough to see."""

from collections.abc import Sequence

from PIL import Image

TILE = 192  # pixels: smaller pictures are shown enlarged, each of their pixels a square
BORDER = 8


def sheet(pictures: Sequence[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size, row after row, on white."""
    tiles = [_enlarged(picture) for picture in pictures]
    side, columns = tiles[0].width + BORDER, min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    canvas = Image.new("RGB", (columns * side + BORDER, rows * side + BORDER), "white")
    for i, tile in enumerate(tiles):
        canvas.paste(tile, (BORDER + i % columns * side, BORDER + i // columns * side))
    return canvas


def _enlarged(picture: Image.Image) -> Image.Image:
    factor = max(1, TILE // picture.width)
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
