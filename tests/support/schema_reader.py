"""Validates against the published schemas, with Unicode patterns as other languages know them."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any

import jsonschema
from jsonschema.exceptions import ValidationError
from pydantic import StringConstraints, TypeAdapter
from pydantic import ValidationError as Mismatch

from producers.contract.documents import FOLDER


def pattern(
    _validator: object, wanted: str, instance: object, _schema: object
) -> Iterator[ValidationError]:
    """Match as Unicode regular expressions do elsewhere; Python's own know no classes."""
    if isinstance(instance, str):
        try:
            _matching(wanted).validate_python(instance)
        except Mismatch:
            yield ValidationError(f"{instance!r} does not match {wanted!r}")


@cache
def _matching(wanted: str) -> TypeAdapter[str]:
    return TypeAdapter(Annotated[str, StringConstraints(pattern=wanted)])


Reader = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": pattern})  # type: ignore[no-untyped-call]  # jsonschema's


def schema(name: str) -> dict[str, Any]:
    """Return a published schema, which must itself be valid."""
    read: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    no_formats = jsonschema.FormatChecker(formats=())  # Python cannot compile our patterns
    jsonschema.Draft202012Validator.check_schema(read, format_checker=no_formats)
    return read


def takes(name: str, document: object) -> bool:
    """Return whether the schema in the file *name* takes *document*."""
    taken: bool = _reader(name).is_valid(document)
    return taken


@cache
def _reader(name: str) -> Any:  # noqa: ANN401 - jsonschema's validators have no type
    return Reader(schema(name))
