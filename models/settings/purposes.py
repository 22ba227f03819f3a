"""What a setting is for: the text under its field, read from the source when somebody asks.

Pydantic could keep these texts (`use_attribute_docstrings`), and would read and tokenize the source
at the start of every process, for a message that almost none of them ever shows.
"""

import ast
import inspect
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from textwrap import dedent

from pydantic import BaseModel


def purpose(settings: type[BaseModel], field: str) -> str:
    """Return the text under this field in one line; empty if there is none."""
    declaring = (
        kind for kind in settings.__mro__ if field in vars(kind).get("__annotations__", {})
    )
    return _texts(next(declaring)).get(field, "")


@cache
def _texts(kind: type) -> Mapping[str, str]:
    (definition,) = ast.parse(dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    texts = {}
    for statement, below in pairwise(definition.body):
        match statement, below:
            case (
                ast.AnnAssign(target=ast.Name(id=field)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                texts[field] = " ".join(text.split())
    return texts
