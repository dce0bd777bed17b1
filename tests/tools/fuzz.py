"""Hostile files: python tests/tools/fuzz.py damages checkpoints in many ways and loads each of them.

Each load must end in a pipeline or in one CheckpointError of one line. It must not raise another exception, hang, use
more than 500 MB of memory, or write a file. Case i of seed s is always the same. Each case runs in its own process.
"""

import json
import os
import resource
import shutil
import signal
import struct
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Annotated, Any

import torch
import typer
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from janus_minimal.errors import CheckpointError
from janus_minimal.loading.hub import BUNDLED
from janus_minimal.pipeline import JanusFlowPipeline

MEMORY = 500 * 2**20  # bytes
SECONDS = 30
WEIGHTS = ("model.safetensors", "vae/diffusion_pytorch_model.safetensors")
CONFIGS = ("config.json", "vae/config.json", "tokenizer_config.json")
FILES = (*WEIGHTS, *CONFIGS, "tokenizer.json")
HOSTILE = (0, -1, 10**9, 10**30, 1.5, float("nan"), float("inf"), "wide", None, [], {}, [10**9], True)

Corruption = Callable[[Path, Random], None]
REFUSED: list[Corruption] = []  # loading must raise an error
EITHER: list[Corruption] = []  # loading may work, because the change may make no difference


def must_be_refused(corruption: Corruption) -> Corruption:
    REFUSED.append(corruption)
    return corruption


def may_load(corruption: Corruption) -> Corruption:
    EITHER.append(corruption)
    return corruption


@must_be_refused
def truncated(directory: Path, random: Random) -> None:
    path = directory / random.choice((*WEIGHTS, "config.json", "tokenizer.json"))
    content = path.read_bytes().rstrip()
    path.write_bytes(content[: random.randrange(len(content))])


@must_be_refused
def missing(directory: Path, random: Random) -> None:
    (directory / random.choice((*WEIGHTS, "config.json", "vae/config.json", "tokenizer.json"))).unlink()


@may_load
def flipped_in_header(directory: Path, random: Random) -> None:
    flip(directory / random.choice(WEIGHTS), random, 0, 2000)


@may_load
def flipped_in_data(directory: Path, random: Random) -> None:
    flip(directory / random.choice(WEIGHTS), random, -100_000, 0)


@may_load
def flipped_in_json(directory: Path, random: Random) -> None:
    flip(directory / random.choice((*CONFIGS, "tokenizer.json")), random, 0, 0)


def flip(path: Path, random: Random, first: int, last: int) -> None:
    content = bytearray(path.read_bytes())
    low, high = first % len(content), last if last > 0 else len(content)
    for _ in range(random.randint(1, 5)):
        content[random.randrange(low, min(high, len(content)))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


@must_be_refused
def header_of_eight_gigabytes(directory: Path, random: Random) -> None:
    path = directory / random.choice(WEIGHTS)
    path.write_bytes(struct.pack("<Q", 2**33 - random.randrange(8)) + path.read_bytes()[8:])


@must_be_refused
def key_missing_or_added(directory: Path, random: Random) -> None:
    def change(weights: dict[str, Any]) -> None:
        key = random.choice(sorted(weights))
        weights[f"{key}.more"] = weights.pop(key) if random.random() < 0.5 else weights[key].clone()

    edit_weights(directory / random.choice(WEIGHTS), change)


@must_be_refused
def not_finite(directory: Path, random: Random) -> None:
    def change(weights: dict[str, Any]) -> None:
        tensor = weights[random.choice(sorted(weights))].view(-1)
        tensor[random.randrange(len(tensor))] = random.choice((float("nan"), float("inf"), -float("inf")))

    edit_weights(directory / random.choice(WEIGHTS), change)


@must_be_refused
def wrong_shape_or_dtype(directory: Path, random: Random) -> None:
    def change(weights: dict[str, Any]) -> None:
        key = random.choice(sorted(weights))
        tensor = weights[key]
        wrongs = (tensor[None], tensor[:-1], torch.cat([tensor, tensor]), tensor.long(), tensor > 0)
        weights[key] = random.choice(wrongs).contiguous()

    edit_weights(directory / random.choice(WEIGHTS), change)


def edit_weights(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


@must_be_refused
def key_twice(directory: Path, random: Random) -> None:
    """Store the same key in two shards."""
    names = shards(directory)
    first, second = (directory / name for name in sorted(set(names.values())))
    weights = load_file(second) | dict([random.choice(sorted(load_file(first).items(), key=lambda item: item[0]))])
    save_file(weights, second)


@must_be_refused
def index_that_lies(directory: Path, random: Random) -> None:
    names = shards(directory)
    key = random.choice(sorted(names))
    wrong = ("../config.json", "/etc/passwd", "..", "", "nowhere.safetensors", "config.json", 3, None, [], {})
    others = [name for name in set(names.values()) if name != names[key]]
    names[key] = random.choice((*wrong, *others))
    write_index(directory, names)


@must_be_refused
def index_that_is_none(directory: Path, random: Random) -> None:
    shards(directory)
    text = random.choice(("", "{", "[]", "null", '{"weight_map": 3}', '{"weight_map": {}}', "[" * 10**6))
    (directory / "model.safetensors.index.json").write_text(text)


def shards(directory: Path) -> dict[str, Any]:
    """Replace the single file by two shards. Return the index."""
    weights = load_file(directory / WEIGHTS[0])
    (directory / WEIGHTS[0]).unlink()
    names: dict[str, Any] = {key: f"model-{1 + i % 2}.safetensors" for i, key in enumerate(sorted(weights))}
    for name in set(names.values()):
        save_file({key: tensor for key, tensor in weights.items() if names[key] == name}, directory / name)
    write_index(directory, names)
    return names


def write_index(directory: Path, names: dict[str, Any]) -> None:
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


@may_load
def hostile_config(directory: Path, random: Random) -> None:
    path = directory / random.choice(CONFIGS)
    config = json.loads(path.read_text())
    spoil(config, random)
    path.write_text(json.dumps(config))


def spoil(node: Any, random: Random) -> None:
    """Replace or remove one value, somewhere in a JSON object."""
    key = random.choice(sorted(node))
    if isinstance(node[key], dict) and node[key] and random.random() < 0.8:
        return spoil(node[key], random)
    if random.random() < 0.2:
        del node[key]
    else:
        node[key] = random.choice(HOSTILE)
    return None


@must_be_refused
def not_json(directory: Path, random: Random) -> None:
    texts = ("", "{", "[]", "3", "nul", '{"a": }', "[" * 10**6, '{"a":' * 10**5, "\x00", "\ufeff{", "<html>")
    (directory / random.choice(("config.json", "vae/config.json", "tokenizer.json"))).write_text(random.choice(texts))


@must_be_refused
def code_to_run(directory: Path, random: Random) -> None:
    path = directory / random.choice(CONFIGS)
    config = json.loads(path.read_text()) | {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
    spelled = random.choice(("auto_map", r"\u0061uto_map", r"auto\u005fmap"))
    path.write_text(json.dumps(config).replace("auto_map", spelled))
    for name in ("evil.py", "vae/evil.py"):
        (directory / name).write_text(f"open({str(directory / 'executed')!r}, 'w')")


@must_be_refused
def pickle_instead(directory: Path, random: Random) -> None:
    path = directory / random.choice(WEIGHTS)
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.unlink()


@must_be_refused
def no_plain_file(directory: Path, random: Random) -> None:
    """Replace a file by a folder, a named pipe, or a link to nowhere, to itself or to an endless file."""
    path = directory / random.choice((*WEIGHTS, "config.json", "vae/config.json", "tokenizer.json"))
    path.unlink()
    make = (
        path.mkdir,
        lambda: os.mkfifo(path),
        *(lambda to=to: path.symlink_to(to) for to in ("no", path, "/dev/zero")),
    )
    random.choice(make)()


@may_load
def files_that_nobody_asked_for(directory: Path, random: Random) -> None:
    """Add files that diffusers and transformers would read and we do not: pickles, named pipes, endless files."""
    names = ("added_tokens.json", "chat_template.jinja", "tokenizer.model", "vocab.json", "vae/config.yaml")
    weights = ("bin", "fp16.safetensors", "fp16.bin", "safetensors.index.json", "bin.index.json")
    for name in (*names, *(f"vae/diffusion_pytorch_model.{ending}" for ending in weights)):
        path = directory / name
        kinds = (
            lambda path=path: os.mkfifo(path),
            lambda path=path: path.symlink_to("/dev/zero"),
            lambda path=path: torch.save({}, path),
            lambda path=path: path.write_text('{"weight_map": {"encoder.conv_in.bias": "evil.bin"}}'),
        )
        random.choice(kinds)()


@may_load
def settings_that_lead_elsewhere(directory: Path, random: Random) -> None:
    """Write paths into the tokenizer's settings; transformers would open them wherever they lead."""
    path = directory / random.choice(("tokenizer_config.json", "special_tokens_map.json"))
    config = json.loads(path.read_text()) if path.exists() else {}
    name = random.choice(("tokenizer_file", "vocab_file", "merges_file", "gguf_file", "fast_tokenizer_files"))
    elsewhere = random.choice(("/dev/zero", "/etc/passwd", "/proc/self/mem", "../tokenizer.4.0.0.json"))
    path.write_text(json.dumps(config | {name: [elsewhere] if name.endswith("s") else elsewhere}))


@must_be_refused
def tokenizer_without(directory: Path, random: Random) -> None:
    path = directory / "tokenizer.json"
    token = random.choice(("<begin_of_image>", "<｜begin▁of▁sentence｜>"))
    path.write_text(path.read_text(encoding="utf-8").replace(token, "<other>"), encoding="utf-8")


def make(directory: Path, seed: int, index: int) -> Corruption:
    """Write case `index` into an empty directory. Return the corruption that was applied."""
    corruptions = REFUSED + EITHER
    corruption = corruptions[index % len(corruptions)]
    shutil.copytree(BUNDLED / "shapes", directory, dirs_exist_ok=True)
    corruption(directory, Random(f"{seed} {index}"))
    return corruption


def judge(seed: int, index: int) -> str:
    """Load one case in this process. Return "loaded", "refused", or a description of what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        corruption = make(directory, seed, index)
        before = sorted(directory.rglob("*"))
        signal.alarm(SECONDS)  # a load that hangs is killed
        allowed = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
        warnings.simplefilter("ignore")
        try:
            JanusFlowPipeline.from_pretrained(directory)
            verdict = "accepted what must be refused" if corruption in REFUSED else "loaded"
        except CheckpointError as error:
            verdict = "refused" if len(str(error).splitlines()) == 1 else f"more than one line: {error}"
        except BaseException as error:
            verdict = f"{type(error).__name__}: {error}"
        return verdict if sorted(directory.rglob("*")) == before else "something was written"


def run(seed: int, cases: range) -> list[tuple[str, str]]:
    """Run every case in its own process, forked from this one. Return pairs: name of the corruption, result."""
    torch.set_num_threads(1)
    results = []
    for index in tqdm(cases, unit="case"):
        results.append(((REFUSED + EITHER)[index % len(REFUSED + EITHER)].__name__, forked(seed, index)))
    return results


def forked(seed: int, index: int) -> str:
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=lambda: there.send(judge(seed, index)))
    process.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        process.join()
        return f"died with exit code {process.exitcode}"
    finally:
        process.join()
        here.close()


def main(
    cases: Annotated[int, typer.Option(help="How many.")] = 600,
    seed: Annotated[int, typer.Option(help="Which.")] = 0,
) -> None:
    """Print how often each corruption loaded or was refused, and every case with another result."""
    results = run(seed, range(cases))
    wrong = [(index, *result) for index, result in enumerate(results) if result[1] not in ("loaded", "refused")]
    for name in dict.fromkeys(name for name, _ in results):
        ends = Counter(end if end in ("loaded", "refused") else "WRONG" for found, end in results if found == name)
        typer.echo(f"{name:28} " + ", ".join(f"{number} {end}" for end, number in sorted(ends.items())))
    for index, name, end in wrong:
        typer.echo(f"case {index}, {name}: {end}")
    typer.echo(f"{len(results)} cases of seed {seed}: {len(wrong)} ended otherwise than in a pipeline or one line")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    typer.run(main)
