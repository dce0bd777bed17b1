"""A model as a tree: official key names, shapes, parameters."""

from rich.tree import Tree
from torch import nn


def module_tree(model: nn.Module, title: str) -> Tree:
    """One branch a module with the parameters under it, one leaf a tensor with its shape."""
    return _grow(Tree(_label(title, model)), model)


def _grow(tree: Tree, module: nn.Module) -> Tree:
    for name, parameter in module.named_parameters(recurse=False):
        tree.add(f"{name}  [cyan]{list(parameter.shape)}[/cyan]")
    for name, child in module.named_children():
        if any(True for _ in child.parameters()):
            _grow(tree.add(_label(name, child)), child)
    return tree


def _label(name: str, module: nn.Module) -> str:
    return f"[bold]{name}[/bold]  {sum(parameter.numel() for parameter in module.parameters()):,}"
