"""A disguise: other code that computes the same.

The grader runs a law on correct code in disguise too. A law that compares the code with a copy or a fingerprint of the
original, and not what it computes, then fails on correct code.
"""

import ast


class _Disguise(ast.NodeTransformer):
    """Gives each returned value a name first: `return x` becomes `answer = x; return answer`."""

    def visit_Return(self, node: ast.Return) -> list[ast.stmt]:
        value = node.value or ast.Constant(None)
        return [ast.Assign([ast.Name("answer", ast.Store())], value), ast.Return(ast.Name("answer", ast.Load()))]


def disguised(source: str) -> str:
    """Return the source of a module with every function in disguise, without comments, on other lines."""
    return ast.unparse(ast.fix_missing_locations(_Disguise().visit(ast.parse(source))))
