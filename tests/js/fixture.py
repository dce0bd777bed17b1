"""What Python computes, for the pages' own scripts to agree with: python tests/js/fixture.py writes fixture.json.

Field, paths and straightness come from the code that draws the chapters' figures, steps and guidance from the package.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from janus_minimal.flow import guide

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "docs" / "figures"))

import few_steps  # noqa: E402
import flow  # noqa: E402

PLACES = ((0.3, -0.2), (-1.4, 0.9), (2.5, 0.1), (0.0, -3.0))
TIMES = (0.0, 0.25, 0.5, 0.9)
NOISES = 24


def computed() -> dict[str, Any]:
    """Return everything that the scripts are compared with."""
    data, z = flow.two_moons()[::10].double(), torch.tensor(PLACES, dtype=torch.float64)
    field, noise = flow.field_of(data), flow.noise_of(5, NOISES).double()
    v = torch.stack([field(z, torch.tensor(t, dtype=torch.float64)) for t in TIMES])
    return {
        "data": data.tolist(),
        "places": PLACES,
        "times": TIMES,
        "velocities": v.tolist(),
        "noise": noise.tolist(),
        "euler, 8 steps": flow.follow(field, noise, 8).transpose(0, 1).tolist(),
        "straightness, 100 steps": few_steps.straightness(field, noise),
        "guided": {str(w): guide(z[0], z[1], w).tolist() for w in (0.0, 0.5, 1.0, 2.0, 8.0)},
    }


def main() -> None:
    """Write the file."""
    (HERE / "fixture.json").write_text(json.dumps(computed(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
