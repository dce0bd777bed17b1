"""What a GPU should take, by arithmetic: nobody has measured it.

{{ estimates() }}              a row for each device, from two numbers of its data sheet
{{ estimated_seconds(100) }}   seconds a picture on a device of so many TFLOP/s: at a half and at a quarter of them
{{ estimated_step(100) }}      seconds a step, in the same way
{{ bytes_a_step() }}           GB that a step reads at least: the weights, without the word table
"""

from macros.excerpts import read

DEVICES = {  # dense bfloat16 with float32 accumulation, TFLOP/s; memory bandwidth, GB/s: from the makers' data sheets
    "NVIDIA RTX 3090": (71, 936),
    "NVIDIA L4": (121, 300),
    "NVIDIA RTX 4090": (165, 1008),
    "NVIDIA A100, 80 GB": (312, 2039),
    "NVIDIA H100 SXM": (989, 3350),
}
REACHED = (0.5, 0.25)  # of the rate in the data sheet


def estimates() -> str:
    """A row for each device: the two least times of a step, and what a picture should take."""
    rows = ["| device | TFLOP/s | GB/s | arithmetic at full rate | reading the weights | a picture, estimated |"]
    rows.append("| --- |" + " ---: |" * 5)
    for device, (rate, bandwidth) in DEVICES.items():
        times = f"{1000 * _work('step') / rate:.1f} ms a step | {1000 * _gigabytes() / bandwidth:.1f} ms a step"
        rows.append(f"| {device} | {rate} | {bandwidth:,} | {times} | {estimated_seconds(rate)} s |")
    return "\n".join(rows)


def estimated_seconds(rate: float) -> str:
    """Seconds of the thirty steps of one picture."""
    return _range("picture", rate)


def estimated_step(rate: float) -> str:
    """Seconds of one step."""
    return _range("step", rate)


def bytes_a_step() -> str:
    """Each weight is read once in a step, but the words are looked up before the first one."""
    return f"{_gigabytes():.2f}"


def _range(part: str, rate: float) -> str:
    least, most = (_work(part) / (reached * rate) for reached in REACHED)
    return f"{least:.2g} to {most:.2g}"


def _work(part: str) -> float:
    return read("figures/data/speed.json", "20", f"TFLOP a {part}")


def _gigabytes() -> float:
    parameters = read("sizes.json", "released", "parameters")
    return 2 * (parameters["generation path"] - parameters["word table"]) / 1e9
