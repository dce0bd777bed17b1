"""PNG files with chunks that no honest program writes."""

import io
import struct
import zlib
from pathlib import Path

from PIL import Image


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file, with the right checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(path: Path, before: bytes = b"", after: bytes = b"", mode: str = "RGB") -> None:
    """Write a picture of 64 x 64 pixels with more chunks before and after its pixels."""
    file = io.BytesIO()
    Image.new(mode, (64, 64), 200).save(file, "png")
    data = file.getvalue()
    pixels, end = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
    path.write_bytes(data[:pixels] + before + data[pixels:end] + after + data[end:])
