"""Damaged checkpoints: weights, configs, and files that a library would look for. Each is loaded, and draws."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tools.hostile import copy_of_shapes, draw, may_work, must_be_refused

WEIGHTS = ("model.safetensors", "vae/diffusion_pytorch_model.safetensors")
CONFIGS = ("config.json", "vae/config.json", "tokenizer_config.json")
HOSTILE = (0, -1, 10**9, 10**30, 1.5, float("nan"), float("inf"), "wide", None, [], {}, [10**9], True)
NAMES = ("\x1b[31mred", "two\nlines", "[/bold]", "x" * 10**6, "\u202egpj", "", "\ud800")
SIZES = (0, 1, 2, 3, 4, 5, 6, 8, 12, 16, 48, 64, 96, 128, 192, 384, 2048)  # of which some fit each other


@must_be_refused(copy_of_shapes, draw)
def truncated(directory: Path, random: Random) -> None:
    path = directory / random.choice((*WEIGHTS, "config.json", "tokenizer.json"))
    content = path.read_bytes().rstrip()
    path.write_bytes(content[: random.randrange(len(content))])


@must_be_refused(copy_of_shapes, draw)
def missing(directory: Path, random: Random) -> None:
    (directory / random.choice((*WEIGHTS, "config.json", "vae/config.json", "tokenizer.json"))).unlink()


@may_work(copy_of_shapes, draw)
def flipped_in_header(directory: Path, random: Random) -> None:
    flip(directory / random.choice(WEIGHTS), random, 0, 2000)


@may_work(copy_of_shapes, draw)
def flipped_in_data(directory: Path, random: Random) -> None:
    flip(directory / random.choice(WEIGHTS), random, -100_000, 0)


@may_work(copy_of_shapes, draw)
def flipped_in_json(directory: Path, random: Random) -> None:
    flip(directory / random.choice((*CONFIGS, "tokenizer.json")), random, 0, 0)


def flip(path: Path, random: Random, first: int, last: int) -> None:
    content = bytearray(path.read_bytes())
    low, high = first % len(content), last if last > 0 else len(content)
    for _ in range(random.randint(1, 5)):
        content[random.randrange(low, min(high, len(content)))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


@must_be_refused(copy_of_shapes, draw)
def header_of_eight_gigabytes(directory: Path, random: Random) -> None:
    path = directory / random.choice(WEIGHTS)
    path.write_bytes(struct.pack("<Q", 2**33 - random.randrange(8)) + path.read_bytes()[8:])


@must_be_refused(copy_of_shapes, draw)
def key_missing_or_added(directory: Path, random: Random) -> None:
    def change(weights: dict[str, Any]) -> None:
        key = random.choice(sorted(weights))
        weights[f"{key}.more"] = weights.pop(key) if random.random() < 0.5 else weights[key].clone()

    edit_weights(directory / random.choice(WEIGHTS), change)


@must_be_refused(copy_of_shapes, draw)
def not_finite(directory: Path, random: Random) -> None:
    def change(weights: dict[str, Any]) -> None:
        tensor = weights[random.choice(sorted(weights))].view(-1)
        tensor[random.randrange(len(tensor))] = random.choice((float("nan"), float("inf"), -float("inf")))

    edit_weights(directory / random.choice(WEIGHTS), change)


@must_be_refused(copy_of_shapes, draw)
def not_finite_in_float32(directory: Path, random: Random) -> None:
    def change(weights: dict[str, Any]) -> None:
        key = random.choice(sorted(weights))
        weights[key] = weights[key].double()
        weights[key].view(-1)[random.randrange(weights[key].numel())] = random.choice((1e39, -1e39, 1e300))

    edit_weights(directory / random.choice(WEIGHTS), change)


@must_be_refused(copy_of_shapes, draw)
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


@must_be_refused(copy_of_shapes, draw)
def key_twice(directory: Path, random: Random) -> None:
    """Store the same key in two shards."""
    names = shards(directory)
    first, second = (directory / name for name in sorted(set(names.values())))
    weights = load_file(second) | dict([random.choice(sorted(load_file(first).items(), key=lambda item: item[0]))])
    save_file(weights, second)


@must_be_refused(copy_of_shapes, draw)
def index_that_lies(directory: Path, random: Random) -> None:
    names = shards(directory)
    key = random.choice(sorted(names))
    wrong = ("../config.json", "/etc/passwd", "..", "", "nowhere.safetensors", "config.json", 3, None, [], {})
    others = [name for name in set(names.values()) if name != names[key]]
    names[key] = random.choice((*wrong, *others))
    write_index(directory, names)


@must_be_refused(copy_of_shapes, draw)
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


@may_work(copy_of_shapes, draw)
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


@must_be_refused(copy_of_shapes, draw)
def not_json(directory: Path, random: Random) -> None:
    texts = ("", "{", "[]", "3", "nul", '{"a": }', "[" * 10**6, '{"a":' * 10**5, "\x00", "\ufeff{", "<html>")
    (directory / random.choice(("config.json", "vae/config.json", "tokenizer.json"))).write_text(random.choice(texts))


@must_be_refused(copy_of_shapes, draw)
def key_that_stands_twice(directory: Path, random: Random) -> None:
    """Write a key of a JSON object once more, with its own value or with another one, as a wrong merge does."""
    path = directory / random.choice((*CONFIGS, "tokenizer.json"))
    text = path.read_text(encoding="utf-8")
    key, value = random.choice([item for item in json.loads(text).items() if item[1] is not None])
    more = json.dumps({key: random.choice((value, *HOSTILE, *NAMES[:3]))})
    path.write_text(f"{text.rstrip()[:-1]}, {more[1:]}", encoding="utf-8")


@must_be_refused(copy_of_shapes, draw)
def code_to_run(directory: Path, random: Random) -> None:
    path = directory / random.choice(CONFIGS)
    config = json.loads(path.read_text()) | {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
    spelled = random.choice(("auto_map", r"\u0061uto_map", r"auto\u005fmap"))
    path.write_text(json.dumps(config).replace("auto_map", spelled))
    for name in ("evil.py", "vae/evil.py"):
        (directory / name).write_text(f"open({str(directory / 'executed')!r}, 'w')")


@must_be_refused(copy_of_shapes, draw)
def pickle_instead(directory: Path, random: Random) -> None:
    path = directory / random.choice(WEIGHTS)
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.unlink()


@must_be_refused(copy_of_shapes, draw)
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


@may_work(copy_of_shapes, draw)
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


@may_work(copy_of_shapes, draw)
def settings_that_lead_elsewhere(directory: Path, random: Random) -> None:
    """Write paths into the tokenizer's settings; transformers would open them wherever they lead."""
    path = directory / random.choice(("tokenizer_config.json", "special_tokens_map.json"))
    config = json.loads(path.read_text()) if path.exists() else {}
    name = random.choice(("tokenizer_file", "vocab_file", "merges_file", "gguf_file", "fast_tokenizer_files"))
    elsewhere = random.choice(("/dev/zero", "/etc/passwd", "/proc/self/mem", "../tokenizer.4.0.0.json"))
    path.write_text(json.dumps(config | {name: [elsewhere] if name.endswith("s") else elsewhere}))


@must_be_refused(copy_of_shapes, draw)
def tokenizer_without(directory: Path, random: Random) -> None:
    path = directory / "tokenizer.json"
    token = random.choice(("<begin_of_image>", "<｜begin▁of▁sentence｜>"))
    path.write_text(path.read_text(encoding="utf-8").replace(token, "<other>"), encoding="utf-8")


@may_work(copy_of_shapes, draw)
def sizes_that_may_not_fit(directory: Path, random: Random) -> None:
    """Change several sizes of the config at once, as a mistaken conversion would."""
    path = directory / "config.json"
    config = json.loads(path.read_text())
    encoder, decoder = (config[f"vision_gen_{part}_config"]["params"] for part in ("enc", "dec"))
    language = config["language_config"]
    places = (
        *((encoder, name) for name in ("kernel_size", "stride", "padding", "layers_in_middle", "hidden_size")),
        *((decoder, name) for name in ("upsamples", "in_channels", "out_channels", "layers_in_middle")),
        *((language, name) for name in ("num_attention_heads", "num_key_value_heads", "max_position_embeddings")),
        *((language, name) for name in ("head_dim", "vocab_size", "num_hidden_layers")),
        (config["vision_und_enc_config"]["params"], "image_size"),
    )
    for section, name in random.sample(places, random.randint(1, 5)):
        section[name] = random.choice(SIZES)
    if random.random() < 0.3:
        encoder["block_out_channels"] = decoder["block_out_channels"] = [random.choice(SIZES)]
    path.write_text(json.dumps(config))


@may_work(copy_of_shapes, draw)
def rotary_settings(directory: Path, random: Random) -> None:
    """Write the rotary settings in the forms of transformers 4 and 5, right and wrong."""
    path = directory / "config.json"
    config = json.loads(path.read_text())
    theta = random.choice((1, 1e-300, 1e300, 1e4, 5e5, -1, "10000", None, [1e4], True))
    kind = random.choice(("default", "linear", "yarn", "llama3", None, 3))
    rope = random.choice(({"rope_theta": theta, "rope_type": kind}, {"rope_theta": theta}, {}, None, [], "x"))
    config["language_config"].pop("rope_theta", None)
    extra = random.choice(({"rope_parameters": rope}, {"rope_theta": theta}, {"rope_scaling": rope}))
    config["language_config"] |= extra | random.choice(({}, {"head_dim": random.choice((32, 64, 0, None, 1.5))}))
    path.write_text(json.dumps(config))


@may_work(copy_of_shapes, draw)
def settings_of_the_vae(directory: Path, random: Random) -> None:
    path = directory / "vae" / "config.json"
    config = json.loads(path.read_text())
    names = ("block_out_channels", "latent_channels", "norm_num_groups", "layers_per_block", "scaling_factor")
    for name in random.sample(names, random.randint(1, 3)):
        number = random.choice((*SIZES, 1e-30, 1e30, 1e-320))
        config[name] = [number] * random.randint(1, 9) if name == "block_out_channels" else number
    path.write_text(json.dumps(config))


@may_work(copy_of_shapes, draw)
def names_of_an_enemy(directory: Path, random: Random) -> None:
    """Put control sequences, markup, line breaks and megabytes into keys and values."""
    path = directory / random.choice(CONFIGS)
    config = json.loads(path.read_text())
    for _ in range(random.choice((1, 1, 1000))):
        config[random.choice(NAMES) + str(random.randrange(10**6))] = random.choice(NAMES)
    section = config.get("language_config", config)
    section[random.choice(("hidden_act", "act_fn", "unk_token", random.choice(NAMES)))] = random.choice(NAMES)
    path.write_text(json.dumps(config))


@may_work(copy_of_shapes, draw)
def huge_weights(directory: Path, random: Random) -> None:
    """Finite weights whose products are not."""

    def change(weights: dict[str, Any]) -> None:
        tensor = weights[random.choice(sorted(weights))].view(-1)
        tensor[random.randrange(len(tensor))] = random.choice((6e4, -6e4))

    edit_weights(directory / random.choice(WEIGHTS), change)


@may_work(copy_of_shapes, draw)
def index_beside_the_vae(directory: Path, random: Random) -> None:
    """Add the index of shards that diffusers prefers to the file that we read, with shards of all kinds."""
    folder = directory / "vae"
    shard = folder / "evil.safetensors"
    weights = load_file(folder / "diffusion_pytorch_model.safetensors")
    random.choice(
        (
            lambda: torch.save(weights, shard),
            lambda: save_file({key: tensor.long() for key, tensor in weights.items()}, shard),
            lambda: os.mkfifo(shard),
            lambda: shard.symlink_to("/dev/zero"),
        )
    )()
    index = {"weight_map": dict.fromkeys(weights, shard.name), "metadata": {}}
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
