"""Shapes in the API's signatures as they are written: else "b *z" is read as Python and shown as a product."""

import ast
from typing import Any

import griffe


class AsWritten(griffe.Extension):
    """Annotations are their own source."""

    def on_function_instance(self, *, node: Any, func: griffe.Function, agent: Any, **_: Any) -> None:
        """Take every annotation from the text of the file."""
        if not isinstance(node, ast.FunctionDef):
            return
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for argument in arguments:
            if argument.annotation:
                func.parameters[argument.arg].annotation = ast.get_source_segment(agent.code, argument.annotation)
        if node.returns:
            func.returns = ast.get_source_segment(agent.code, node.returns)
