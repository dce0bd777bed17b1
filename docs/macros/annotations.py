"""How the API pages show the source: shapes and tokens as they are written, and examples as code.

Without this, "b *z" would be read as Python and shown as a product, >>> would begin a quotation, and <begin_of_image>
would be taken for an element of HTML, which a browser does not show.
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
        """Write every docstring as Markdown that shows it."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\s*\n).+)*", re.MULTILINE)  # from the prompt to the next empty line
TAG = re.compile(r"(```.*?```|`[^`]*`)|<(?=[\w/!])", re.DOTALL)  # in code, Markdown escapes it by itself


def as_markdown(docstring: str) -> str:
    """Put a fence around every example, and write what looks like an element of HTML as text."""
    fenced = EXAMPLE.sub(r"```pycon\n\g<0>\n```\n", docstring)
    return TAG.sub(lambda found: found[1] or "&lt;", fenced)
