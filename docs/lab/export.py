"""Write a model as ONNX graphs: python docs/lab/export.py writes docs/lab/graphs/, which the live lab reads.

    python docs/lab/export.py [CHECKPOINT FOLDER]    another model: its directory, and where its graphs are written

    prefill.onnx, step.onnx, decode.onnx    the graphs of graphs.py, opset 20, without weights
    noise.bin                               the noise of the seeds 0..15, float32
    lab.json                                words, sizes, example captions: see facts.py
    hashes.json                             the hashes below

The graphs hold no weights. Each weight is a reference into a file of the bundled checkpoint (ONNX calls this external
data): its offset and its length. So the browser loads the very file that Python loads, in float16, once for both
graphs, and no second copy of the weights is kept. What is left is so small that it is committed with the pages; then
building the site needs neither torch's exporter nor its two minutes.

Limits. The checkpoint is a directory whose weights are one model.safetensors in float16 or float32, with its VAE in the
folder vae. The graphs draw one image at a time, of the checkpoint's own size, from a prompt of 2 to 256 tokens.
onnxruntime looks for both weight files in the folder of the graphs.

The lab's graphs are stale when the weights or the traced code change. hashes.json holds a hash of both, and a law
compares.
"""

import ast
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from facts import OUT, SEEDS, facts, write
from graphs import Graph, graphs, noise
from onnxscript.optimizer import optimize_ir
from torch.export import Dim

from janus_minimal import JanusFlowPipeline
from janus_minimal.loading.hub import find_checkpoint

HERE = Path(__file__).parent
PACKAGE = HERE.parent.parent / "janus_minimal"
OPSET = 20
WEIGHTS = {"model": "model.safetensors", "vae": "vae/diffusion_pytorch_model.safetensors"}
TRACED = ("cache", "model", "prompt", "uvit", "loading/vae", "figures/attention")
DTYPES = {"F16": ir.DataType.FLOAT16, "F32": ir.DataType.FLOAT}

Weights = dict[str, ir.ExternalTensor]


def main(checkpoint: str = "shapes", folder: str = str(OUT)) -> None:
    """Write all files of docs/lab/graphs, or of another folder."""
    pipe, out = JanusFlowPipeline.from_pretrained(checkpoint), Path(folder)
    weights = stored(find_checkpoint(checkpoint))
    out.mkdir(exist_ok=True)
    for name, graph in graphs(pipe).items():
        write(out / f"{name}.onnx", without_weights(exported(graph, weights), weights))
    write(out / "hashes.json", json.dumps(hashes(find_checkpoint(checkpoint)), indent=1).encode())
    write(out / "noise.bin", torch.cat([noise(pipe, seed) for seed in range(SEEDS)]).numpy().tobytes())
    write(out / "lab.json", facts(pipe))


def exported(graph: Graph, weights: Weights) -> ir.Model:
    """Return what torch exports, simplified, but with every weight as it is stored."""
    length = Dim("L", min=2, max=256)
    shapes = {name: {graph.prompt_axes[name]: length} if name in graph.prompt_axes else None for name in graph.inputs}
    program = torch.onnx.export(
        graph.module.eval(),
        kwargs=dict(graph.inputs),
        input_names=list(graph.inputs),
        output_names=list(graph.outputs),
        dynamic_shapes=shapes,
        opset_version=OPSET,
        dynamo=True,
        optimize=False,
        verbose=False,
    )

    # A folded weight would be transposed, and no longer what the checkpoint's file holds.
    def fold(node: ir.Node) -> bool | None:
        return False if any(value is not None and value.name in weights for value in node.inputs) else None

    optimize_ir(program.model, should_fold=fold)
    return program.model


def without_weights(model: ir.Model, weights: Weights) -> bytes:
    """Return the graph as a file in which every weight is a reference into the checkpoint's files."""
    graph = model.graph
    for value in [value for value in graph.initializers.values() if value.name in weights]:
        tensor = weights[str(value.name)]
        _same(value, tensor)
        value.const_value = tensor
        if tensor.dtype == ir.DataType.FLOAT16:
            _widen(graph, value)
    # The exporter's notes on where a node comes from: long, and full of the paths of one machine.
    values = [*graph.inputs, *graph.initializers.values(), *(out for node in graph for out in node.outputs)]
    for noted in (model, graph, *graph, *values):
        noted.metadata_props.clear()
    return ir.to_proto(model).SerializeToString(deterministic=True)


def stored(directory: Path) -> Weights:
    """Return where each weight lies in the files of the checkpoint, by its name in the graphs."""
    return {f"{part}.{key}": tensor for part, file in WEIGHTS.items() for key, tensor in _stored(directory / file)}


def _stored(path: Path) -> Iterator[tuple[str, ir.ExternalTensor]]:
    head, start = safetensors_header(path)
    for key in head.keys() - {"__metadata__"}:
        first, last = head[key]["data_offsets"]
        place = (path.name, start + first, last - first, DTYPES[head[key]["dtype"]])
        yield key, ir.ExternalTensor(*place, shape=ir.Shape(head[key]["shape"]), name=key, base_dir=path.parent)


def safetensors_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return what the file says of its tensors, and where their bytes begin: 8 bytes of length, then JSON."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(length)), 8 + length


def _same(value: ir.Value, tensor: ir.ExternalTensor) -> None:
    """Raise ValueError unless the file holds, at this place, what torch exported."""
    found = value.const_value
    if found is None or not np.array_equal(found.numpy(), tensor.numpy().astype(np.float32)):
        raise ValueError(f"{value.name}: expected the numbers that the checkpoint holds under this name")


def _widen(graph: ir.Graph, value: ir.Value) -> None:
    """Let all that reads a float16 weight read it as float32: the lab computes in float32."""
    cast = ir.node("Cast", [value], {"to": ir.DataType.FLOAT})
    wide = cast.outputs[0]
    wide.name, wide.shape, wide.dtype = f"{value.name}.float32", value.shape, ir.DataType.FLOAT
    value.dtype = ir.DataType.FLOAT16
    for node, index in [use for use in value.uses() if use[0] is not cast]:
        node.replace_input_with(index, wide)
    graph.insert_before(graph[0], cast)


def hashes(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of the weights, of the traced code and of the code that exports."""
    weights = b"".join((directory / file).read_bytes() for file in WEIGHTS.values())
    sources = [*(PACKAGE / f"{name}.py" for name in TRACED), HERE / "graphs.py", HERE / "export.py"]
    code = "\n".join(without_prose(path.read_text(encoding="utf-8")) for path in sources)
    return {"weights": hashlib.sha256(weights).hexdigest(), "code": hashlib.sha256(code.encode()).hexdigest()}


def without_prose(source: str) -> str:
    """Return the code without comments and docstrings, so that better words do not make a graph stale."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.unparse(tree)


if __name__ == "__main__":
    main(*sys.argv[1:])
