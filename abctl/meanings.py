"""What the fields of a class are for: the text below each of them.

It stands in the source next to the field, and is read where it is shown: in JSON Schemas and hints.
"""

import ast
import inspect
from itertools import pairwise


def meanings(declared: type) -> dict[str, str]:
    """The text below each field of a class, by the name of the field.

    Raises:
        OSError: the source is not there.
    """
    [node] = ast.parse(inspect.getsource(declared)).body
    found = {}
    for pair in pairwise(getattr(node, "body", ())):
        match pair:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(meaning))),
            ):
                found[name] = meaning
    return found
