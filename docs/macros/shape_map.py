"""The whole system as an inline SVG in the theme's own colours, its boxes linked, its tensors sized.

{{ shape_map() }}                      the drawing
{{ size("released", "c H W") }}        dimensions of the released or of the small model

The letters' values come from the configurations of the released and of the bundled model.
"""

import json
from dataclasses import dataclass

from janus_minimal.config import JanusConfig
from janus_minimal.loading.config_file import read_config
from janus_minimal.loading.hub import find_checkpoint

WIDTH, HEIGHT, ROW = 440, 800, 84  # of the drawing, and from one row of boxes to the next
LEFT, MAIN, TIME, SKIP = 80, 235, 348, 405  # columns: the prompt, the loop, and the two ways around the language model
HALF, TALL = 68, 34  # half a box's width, and its height
RELEASED_VAE = 8  # pixels of the picture to one of the latent, SDXL's


@dataclass(frozen=True)
class Box:
    """A stage: where it stands, what it is called, the page that explains it and the entry with its source."""

    x: int
    row: int
    label: str
    page: str
    entry: str


@dataclass(frozen=True)
class Named:
    """A tensor: where its name stands, and its dimensions in letters."""

    x: int
    y: int
    name: str
    dims: str


BOXES = (
    Box(LEFT, 0, "prompt pair", "prompt.html", "prompt.PromptPair"),
    Box(LEFT, 1, "prefill", "cache.html", "model.JanusFlow.prefill"),
    Box(MAIN, 0, "1 encode", "uvit.html", "model.JanusFlow.encode"),
    Box(MAIN, 1, "2 align", "uvit.html", "model.JanusFlow.align_in"),
    Box(MAIN, 2, "3 language model", "cache.html", "model.JanusFlow.backbone"),
    Box(MAIN, 3, "4 align", "uvit.html", "model.JanusFlow.align_out"),
    Box(MAIN, 4, "5 decode", "uvit.html", "model.JanusFlow.decode"),
    Box(MAIN, 5, "6 guide", "guidance.html", "flow.guide"),
    Box(MAIN, 6, "7 Euler", "flow.html", "flow.euler_step"),
    Box(MAIN, 7, "decode the latent", "released.html", "pipeline.JanusFlowPipeline.to_pictures"),
)


def top(row: int) -> int:
    """Where a row's boxes begin."""
    return 52 + ROW * row


def below(row: int) -> int:
    """Where the names of what comes out of a row stand."""
    return top(row) + TALL + 21


TENSORS = (
    Named(MAIN, 24, "z", "B c H W"),
    Named(LEFT, below(0), "ids", "2B L"),
    Named(LEFT, below(1), "keys, values", "layers 2B heads L head"),
    Named(MAIN, below(0), "x_emb", "B C h w"),
    Named(TIME, below(0), "t_emb", "B D"),
    Named(SKIP, below(2), "skip", "B C h w"),
    Named(MAIN, below(1), "tokens", "2B 1+N D"),
    Named(MAIN, below(2), "hidden", "2B 1+N D"),
    Named(MAIN, below(3), "back", "2B C h w"),
    Named(MAIN, below(4), "v_cond, v_uncond", "B c H W"),
    Named(MAIN, below(5), "v", "B c H W"),
    Named(MAIN, below(6), "z_next", "B c H W"),
    Named(MAIN, below(7), "pictures", "B 3 side side"),
)


def size(model: str, dims: str) -> str:
    """Return dimensions with the numbers of one model, "released" or "small"."""
    return numbers(dims, SIZES[model]())


def shape_map() -> str:
    """Return the SVG."""
    sizes = {name: letters() for name, letters in SIZES.items()}
    parts = [*map(_path, ways()), *map(_box, BOXES), *(_tensor(tensor, sizes) for tensor in TENSORS)]
    head = f'<svg class="map" viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-label="The whole system, with shapes">'
    arrow = '<path d="M0 0 6 3 0 6z"/>'
    tip = f'<marker id="tip" markerWidth="6" markerHeight="6" refX="5" refY="3" orient="auto">{arrow}</marker>'
    times = f'<text class="small" x="14" y="{top(5)}">S times</text>'
    caption = f'<text x="{LEFT}" y="32" text-anchor="middle">caption</text>'
    clock = f'<text x="{TIME}" y="32" text-anchor="middle">t</text>'
    return "".join([head, "<defs>", tip, "</defs>", *parts, times, caption, clock, "</svg>"])


def ways() -> list[str]:
    """The lines: down the columns, into the language model, around it, and back to the beginning."""
    down = [f"M{box.x} {top(box.row) - 14}V{top(box.row)}" for box in BOXES]
    out = [f"M{box.x} {top(box.row) + TALL}v8" for box in BOXES]
    edge, inner = MAIN + HALF, MAIN - HALF
    return [
        *down,
        *out,
        f"M{TIME} 38V{top(0) + 10}H{edge}",
        f"M{edge} {top(0) + 24}H{TIME}V{below(0) - 12}",
        f"M{TIME} {below(0) + 16}V{top(4) + 24}H{edge}",
        f"M{TIME} {top(1) + 17}H{edge}",
        f"M{edge} {top(0) + 17}H{SKIP}V{below(2) - 12}",
        f"M{SKIP} {below(2) + 16}V{top(4) + 10}H{edge}",
        f"M{LEFT} {below(1) + 16}V{top(2) + 17}H{inner}",
        f"M{MAIN - 40} {below(6)}H8V8H{MAIN}V14",
    ]


def _path(way: str) -> str:
    return f'<path d="{way}" marker-end="url(#tip)"/>'


def _box(box: Box) -> str:
    x, y = box.x - HALF, top(box.row)
    return (
        f'<g class="box"><rect x="{x}" y="{y}" width="{2 * HALF}" height="{TALL}" rx="3"/>'
        f'<a href="{box.page}"><text x="{box.x}" y="{y + 15}" text-anchor="middle">{box.label}</text></a>'
        f'<a href="{_entry(box.entry)}">'
        f'<text class="small" x="{box.x}" y="{y + 28}" text-anchor="middle">source</text></a></g>'
    )


def _entry(entry: str) -> str:
    return f"api/{entry.split('.')[0]}.html#janus_minimal.{entry}"


def _tensor(tensor: Named, sizes: dict[str, dict[str, int]]) -> str:
    shapes = [f"{size}: {numbers(tensor.dims, values)}" for size, values in sizes.items()]
    lines = [f"{tensor.name}: {' × '.join(tensor.dims.split())}", *shapes]
    told = "".join(f'<text x="14" y="{HEIGHT - 44 + 15 * i}">{line}</text>' for i, line in enumerate(lines))
    wide = 7 * len(tensor.name) + 8
    return (
        f'<g class="tensor" tabindex="0" role="img" aria-label="{"; ".join(lines)}">'
        f'<rect x="{tensor.x - wide / 2}" y="{tensor.y - 11}" width="{wide}" height="26" rx="3"/>'
        f'<text x="{tensor.x}" y="{tensor.y}" text-anchor="middle">{tensor.name}</text>'
        f'<text class="small" x="{tensor.x}" y="{tensor.y + 12}" text-anchor="middle">{_letters(tensor)}</text>'
        f'<g class="readout"><rect x="4" y="{HEIGHT - 60}" width="{WIDTH - 8}" height="54" rx="3"/>{told}</g></g>'
    )


def _letters(tensor: Named) -> str:
    return tensor.dims if len(tensor.dims) < 16 else "of each layer"


def numbers(dims: str, values: dict[str, int]) -> str:
    """Dimensions with the numbers of one size in place of the letters; B and L stay open."""
    return " × ".join(str(values.get(letter, letter)) for letter in dims.split())


def released() -> dict[str, int]:
    """The letters of the released model."""
    return letters(JanusConfig(), RELEASED_VAE)


def small() -> dict[str, int]:
    """The letters of the bundled model."""
    directory = find_checkpoint("shapes")
    vae = json.loads((directory / "vae" / "config.json").read_text(encoding="utf-8"))
    return letters(read_config(directory), 2 ** (len(vae["block_out_channels"]) - 1))


def letters(config: JanusConfig, vae: int) -> dict[str, int]:
    """What the letters stand for; a patch has 2 x 2 places of the latent."""
    side = config.image_size // vae
    tokens = (side // config.encoder.stride) ** 2
    language = config.language
    return {
        **{"c": config.encoder.input_channels, "H": side, "W": side, "C": config.encoder.channels},
        **{"h": side // config.encoder.stride, "w": side // config.encoder.stride, "1+N": 1 + tokens},
        **{"D": language.hidden_size, "layers": language.num_hidden_layers, "heads": language.num_attention_heads},
        **{"head": language.hidden_size // language.num_attention_heads, "side": config.image_size},
    }


SIZES = {"released": released, "small": small}
