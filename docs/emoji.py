"""Make a folder of captioned pictures from an npm package of emoji: python docs/emoji.py PACKAGE FOLDER

PACKAGE is @iconify-json/fluent-emoji-flat 1.2.6, as `npm pack` fetches it: the .tgz file. It holds Microsoft's Fluent
emoji as SVG, with English names. FOLDER gets a PNG of 48 x 48 pixels for each animal, plant, food, clock and coloured
circle, square or heart, metadata.jsonl with the names as captions, and the licence. Eight of them are held out: they
go to FOLDER/held-out, which has a metadata.jsonl of its own. Their words all occur in other captions.
"""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import resvg_py
import typer
from PIL import Image

SIDE = 48
COLOURS = (
    *("red", "orange", "yellow", "green", "blue", "purple", "brown", "black", "white", "grey", "pink", "light-blue"),
)
HELD_OUT = (
    *("purple-square", "orange-circle", "green-heart", "yellow-heart"),
    *("four-oclock", "nine-oclock", "two-thirty", "eleven-thirty"),
)
LICENSE = """MIT License

Copyright (c) Microsoft Corporation.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def main(package: Path, folder: Path) -> None:
    """Make the folder, and say how many pictures it has."""
    info, icons, metadata = (read(package, f"package/{name}.json") for name in ("info", "icons", "metadata"))
    source = info["author"]["url"], info["license"]["spdx"]
    if source != ("https://github.com/microsoft/fluentui-emoji", "MIT"):
        raise SystemExit(f"{package} is of {source}: expected Microsoft's Fluent emoji, MIT")
    names = chosen(metadata["categories"])
    (folder / "held-out").mkdir(parents=True)
    (folder / "LICENSE.txt").write_text(LICENSE, encoding="utf-8")
    write(folder, {name: draw(icons, name) for name in names if name not in HELD_OUT})
    write(folder / "held-out", {name: draw(icons, name) for name in HELD_OUT})
    typer.echo(f"{len(names) - len(HELD_OUT)} pictures and {len(HELD_OUT)} held out: {folder}")


def read(package: Path, name: str) -> dict[str, Any]:
    """Return a JSON file of the package."""
    with tarfile.open(package) as archive:
        return json.load(archive.extractfile(name))


def chosen(categories: dict[str, list[str]]) -> list[str]:
    """Return the names of animals and plants, food, clocks, and coloured circles, squares and hearts."""
    forms = ("circle", "square", "heart")
    coloured = {f"{colour}-{form}" for colour in COLOURS for form in forms}
    wanted = {*categories["Animals & Nature"], *categories["Food & Drink"]}
    every = {name for names in categories.values() for name in names}
    return sorted(wanted | coloured & every | {name for name in every if name.endswith(("-oclock", "-thirty"))})


def draw(icons: dict[str, Any], name: str) -> Image.Image:
    """Return an icon on white."""
    size = f'viewBox="0 0 {icons["width"]} {icons["height"]}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{icons["icons"][name]["body"]}</svg>'
    png = resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE, background="white")
    return Image.open(io.BytesIO(bytes(png))).convert("RGB")


def write(folder: Path, pictures: dict[str, Image.Image]) -> None:
    """Write pictures and captions in the image-folder convention."""
    lines = []
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.png", optimize=True)
        lines.append(json.dumps({"file_name": f"{name}.png", "text": name.replace("-", " ")}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
