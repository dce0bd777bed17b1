"""Draw what each bug of the museum does to a picture: docs/pictures/museum/ and docs/museum-pictures.json.

python tests/tools/gallery.py [EXHIBIT ...]     draws all bugs or these, each in its own process, from the same noise
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # the folder `tests`, where `tools` is found

import numpy as np
import torch
from museum.plant import changes_of, plant
from PIL import Image
from tools.tour import EXHIBITS, TESTS, in_fresh_processes

DOCS = TESTS.parent / "docs"
FOLDER = DOCS / "pictures" / "museum"
RECORD = DOCS / "museum-pictures.json"
CAPTION, STEPS, WEIGHT, IMAGES, SEED = "a red circle left of a blue square", 30, 2.0, 2, 0


def draw(exhibit: str | None) -> np.ndarray | None:
    """Draw with this bug planted. Return the final latents, or None if the bug stops the program."""
    from janus_minimal import JanusFlowPipeline

    if exhibit:
        plant(changes_of(exhibit))

    torch.set_num_threads(1)
    try:
        pipe = JanusFlowPipeline.from_pretrained("shapes")
        generators = [torch.Generator().manual_seed(SEED + i) for i in range(IMAGES)]
        asked = {"num_images_per_prompt": IMAGES, "generator": generators, "progress": False}
        latents = pipe(CAPTION, STEPS, WEIGHT, output_type="latent", **asked).images
        pictures = pipe.to_pictures(latents)
    except Exception:  # a bug can raise any error; then there is no picture
        return None
    write(exhibit or "right", pictures)
    return latents.numpy()


def write(name: str, pictures: list[Image.Image]) -> None:
    """Write both pictures side by side, enlarged so that each of their pixels is a square."""
    side = pictures[0].width
    sheet = Image.new("RGB", (side * len(pictures), side))
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index * side, 0))
    enlarged = sheet.resize((3 * sheet.width, 3 * sheet.height), Image.Resampling.NEAREST)
    enlarged.save(FOLDER / f"{name}.webp", lossless=True)


def main() -> None:
    """Draw the correct pictures and those of exhibits, and measure how far apart they are."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    names = sys.argv[1:] or EXHIBITS
    right, *wrong = in_fresh_processes(draw, [None, *names])
    latents = {name: None if z is None else distance(z, right) for name, z in zip(names, wrong, strict=True)}
    drawn = {name: {"latents": z, "pixels": None if z is None else pixels(name)} for name, z in latents.items()}
    known = json.loads(RECORD.read_text(encoding="utf-8"))["exhibits"] | drawn
    exhibits = {name: known[name] for name in EXHIBITS if name in known}
    record = {"caption": CAPTION, "steps": STEPS, "cfg_weight": WEIGHT, "seed": SEED, "exhibits": exhibits}
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def pixels(name: str) -> float:
    """Return the mean absolute difference of the pixels, of 255."""
    right, wrong = (np.asarray(Image.open(FOLDER / f"{file}.webp")).astype(float) for file in ("right", name))
    return float(np.abs(right - wrong).mean())


def distance(z: np.ndarray, right: np.ndarray) -> float:
    """Return |z - right| / |right|."""
    return float(np.linalg.norm(z - right) / np.linalg.norm(right))


if __name__ == "__main__":
    main()
