"""The results of a bench: a table to read, a JSON file to keep, and bars to draw."""

from dataclasses import asdict, dataclass
from typing import Any

from janus_minimal.bench.clock import Spread
from janus_minimal.bench.cost import ideal_ratio

STAGES = ("encode", "align in", "language model", "align out", "decode", "guide and Euler")


@dataclass(frozen=True)
class Report:
    """The times of loops and stages, and the counts and rates to compare them with.

    Args:
        size: "small", "middle" or "released".
        device: its name for people.
        dtype: of the weights.
        images: B.
        prompt_tokens: L.
        image_tokens: N.
        parameters: of the model.
        loops: one step of each loop, in milliseconds.
        stages: one run of each stage and of each alternative, in milliseconds.
        operations: floating-point operations of one of our steps, by stage.
        products: the rate of two plain matrix products, in operations a second: one of the language
            model's size, and one large one.
        memory: the most bytes in use.
    """

    size: str
    device: str
    dtype: str
    images: int  # B
    prompt_tokens: int  # L
    image_tokens: int  # N
    parameters: int
    loops: dict[str, Spread]
    stages: dict[str, Spread]
    operations: dict[str, int]  # of one of our steps, by stage
    products: dict[
        str, float
    ]  # operations in a second, of a matrix product of the language model and of a large one
    memory: int  # bytes, at most

    @property
    def ratio(self) -> float:
        """Return how many times faster the language model is with the prompt's cache.

        It is the time with the prompt as part of the input, over the time with its cache.
        """
        return (
            self.stages["language model with the prompt"].median
            / self.stages["language model"].median
        )

    @property
    def ideal(self) -> float:
        """Return the ratio that the numbers of tokens promise: (L + 1 + N) / (1 + N)."""
        return ideal_ratio(self.image_tokens, self.prompt_tokens)

    @property
    def floor(self) -> float:
        """Return the milliseconds of a step whose operations all run at the best rate measured.

        No step can be faster than this on the same machine, so it shows how much is left to gain.
        """
        return 1000 * sum(self.operations.values()) / max(self.products.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the report as it is written to JSON, with the ratios that follow from it."""
        ours, official = self.loops["ours"].median, self.loops["official style"].median
        derived = {
            "ratio": self.ratio,
            "ideal": self.ideal,
            "near": self.ratio / self.ideal,
            "floor": self.floor,
        }
        return (
            asdict(self)
            | derived
            | {"over the floor": ours / self.floor, "faster": official / ours}
        )

    def to_bars(self) -> tuple[dict[str, dict[str, float]], str, str]:
        """Return what a bar chart needs: rows of named parts, a title, and the axis label."""
        parts = {name: self.stages[name].median for name in STAGES}
        whole = {name: {name: spread.median} for name, spread in self.loops.items()}
        images = f"{self.images} image{'s' * (self.images > 1)}"
        title = f"One step at {self.size} size: {images}, {self.prompt_tokens} prompt tokens, {self.device}"
        return whole | {"of which": parts}, title, "milliseconds"

    def to_table(self) -> str:
        """Return the report as Markdown tables, with two lines of conclusions."""
        found = self.to_dict()
        share = {name: self.stages[name].median / self.loops["ours"].median for name in STAGES}
        return "\n".join(
            [
                f"{self.size} size, {self.parameters:,} parameters, {self.dtype} on {self.device}; "
                f"images {self.images}, {self.prompt_tokens} prompt tokens, {self.image_tokens} image tokens",
                "",
                *_table(
                    "one step",
                    self.loops,
                    {name: self.floor / s.median for name, s in self.loops.items()},
                    " peak",
                ),
                "",
                *_table(
                    "a stage of ours", {name: self.stages[name] for name in STAGES}, share, "share"
                ),
                "",
                *_table(
                    "beside them",
                    {name: spread for name, spread in self.stages.items() if name not in STAGES},
                ),
                "",
                f"with the prompt's keys the language model is {self.ratio:.3f} times as fast; "
                f"ideal: {self.ideal:.3f}, of which {found['near']:.1%}",
                f"matrix products: {max(self.products.values()) / 1e9:,.0f} GFLOP/s; "
                f"a step: {sum(self.operations.values()) / 1e9:,.1f} GFLOP, "
                f"{self.floor:,.1f} ms at that rate; measured: {found['over the floor']:.2f} times that",
                f"memory: {self.memory / 1e9:.2f} GB",
            ]
        )


def _table(
    head: str, spreads: dict[str, Spread], share: dict[str, float] | None = None, of: str = ""
) -> list[str]:
    lines = [f"| {head:<42} | median ms |  least |   most |{f' {of} |' if share else ''}"]
    lines.append(f"| {'-' * 42} | --------: | -----: | -----: |{' ----: |' if share else ''}")
    for name, s in spreads.items():
        part = f" {share[name]:5.1%} |" if share else ""
        lines.append(f"| {name:<42} | {s.median:9,.2f} | {s.low:6,.2f} | {s.high:6,.2f} |{part}")
    return lines
