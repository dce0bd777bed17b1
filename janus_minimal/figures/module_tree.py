"""A model as a tree: official key names, shapes and numbers of parameters."""

from rich.text import Text
from rich.tree import Tree
from torch import nn

from janus_minimal.errors import one_line


def module_tree(model: nn.Module, title: str) -> Tree:
    """Build a branch for each module with the number of its parameters, and a leaf for each tensor with its shape.

    Names are `Text`, not strings: rich reads square brackets in a string as its markup, and a directory may be called
    "[/bold]x".
    """
    return _with_children(Tree(_label(one_line(title), model)), model)


def _with_children(tree: Tree, module: nn.Module) -> Tree:
    for name, parameter in module.named_parameters(recurse=False):
        tree.add(Text.assemble(name, "  ", (str(list(parameter.shape)), "cyan")))
    for name, child in module.named_children():
        if any(True for _ in child.parameters()):
            _with_children(tree.add(_label(name, child)), child)
    return tree


def _label(name: str, module: nn.Module) -> Text:
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Text.assemble((name, "bold"), f"  {parameters:,}")
