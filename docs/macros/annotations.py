"""How the API pages show the source: shapes as they are written, and examples as code.

Without this, "b *z" would be read as Python and shown as a product, and >>> would begin a quotation.
"""

import ast
import re
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

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put a fence around every example of a docstring."""
        if obj.docstring:
            obj.docstring.value = EXAMPLE.sub(r"```pycon\n\g<0>\n```\n", obj.docstring.value)


EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\s*\n).+)*", re.MULTILINE)  # from the prompt to the next empty line
