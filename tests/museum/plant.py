"""How an exhibit plants its bug: it replaces one function of the package, in every module that imported it."""

import sys
from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any


def instead_of(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace the function `name` of the package by the decorated one. Names: "flow:guide", "model:JanusFlow.backbone".

    The original is not restored, because each exhibit runs in its own process.
    """
    *owners, attribute = name.split(":")[1].split(".")
    owner = resolve_name(f"janus_minimal.{name.split(':')[0]}:{'.'.join(owners)}")
    original = vars(owner)[attribute]

    def plant(bug: Callable[..., Any]) -> Callable[..., Any]:
        wrapped = type(original)(bug) if isinstance(original, classmethod | property) else bug
        for place in [owner, *(module for key, module in sys.modules.items() if key.startswith("janus_minimal"))]:
            for key, value in list(vars(place).items()):
                if value is original:
                    setattr(place, key, wrapped)
        return bug

    return plant
