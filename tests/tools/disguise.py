"""A disguise: other code that computes the same.

The grader runs a law on correct code in disguise too. A law that compares the code with a copy or a fingerprint of the
original, and not what it computes, then fails on correct code.
"""

import ast


class _Disguise(ast.NodeTransformer):
    """Gives each function a variable, and each returned value this name first: `answer = x; return answer`."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.body.insert(1 if ast.get_docstring(node) else 0, _answer(ast.Constant(None)))
        return node

    def visit_Return(self, node: ast.Return) -> list[ast.stmt]:
        return [_answer(node.value or ast.Constant(None)), ast.Return(ast.Name("answer", ast.Load()))]


def _answer(value: ast.expr) -> ast.Assign:
    return ast.Assign([ast.Name("answer", ast.Store())], value)


def disguised(source: str) -> str:
    """Return the source of a module with every function in disguise, without comments, on other lines."""
    lines_of_its_own = "\n" * source.count("\n")
    return lines_of_its_own + ast.unparse(ast.fix_missing_locations(_Disguise().visit(ast.parse(source))))
