"""The file's form: what may stand in `operators.yaml`, read and written."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from models.events.field_names import KnownNames
from models.operators import OperatorTerms
from models.operators.desired import DesiredOperator
from models.platform.durations import Duration, format_duration
from worker.cli.errors import WrongUsage
from worker.cli.options import per_second
from worker.cli.secret_file import read_line

_BYTES_MAX: Final = 4 * 1024 * 1024
_OPTION: Final = "-f"


def _rate(value: object) -> object:
    """`50/s`, as on the command line, or a number: so many per second."""
    if not isinstance(value, str):
        return value
    try:
        return per_second(value)
    except typer.BadParameter as refusal:
        raise ValueError(str(refusal)) from None


class OneOperator(BaseModel):
    """An operator. What is left out is as `slipway operators add` would have it."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    code: str
    url: str
    protocol: Literal["pam", "seamless"]
    enabled: bool = True
    agent: str | None = None
    sign_calls: bool = False
    close_delay: Duration = timedelta(hours=24)
    announces_tickets: bool = False
    rate: Annotated[float | None, BeforeValidator(_rate)] = None
    in_flight: int = 32
    timezone: str = "UTC"
    lottery_ticket: Literal["ticket", "ticket+draw"] = "ticket"
    secret_file: str | None = None
    api_key_file: str | None = None

    def declared(self, folder: Path) -> DesiredOperator:
        """Read the secret files, which are named relative to *folder*. Raises WrongUsage."""
        terms = {one.name: getattr(self, one.name) for one in fields(OperatorTerms)}
        return DesiredOperator(
            terms=OperatorTerms(**terms),
            enabled=self.enabled,
            secret=self._line(folder, "secret_file"),
            api_key=self._line(folder, "api_key_file"),
        )

    def _line(self, folder: Path, name: str) -> str | None:
        path = getattr(self, name)
        return None if path is None else read_line(folder / path, option=f"{self.code}: {name}")


class Document(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    operators: list[OneOperator] = Field(max_length=10_000)


class _NoDoubles(yaml.SafeLoader):
    """YAML without anything but data, and without a name that is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the library's signature
        names = [key.value for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                problem = f"{name!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_mapping(node, deep)


def read_document(path: Path) -> list[DesiredOperator]:
    """Read the file at *path* and the secret files it names. Raises WrongUsage."""
    try:
        with path.open("rb") as file:
            content = file.read(_BYTES_MAX)
    except OSError as refusal:
        raise WrongUsage(f"{_OPTION} {path}: {refusal.strerror}") from None
    try:
        document = Document.model_validate(yaml.load(content, _NoDoubles))  # noqa: S506 - a safe loader's child
    except (yaml.YAMLError, UnicodeDecodeError) as refusal:
        raise WrongUsage(
            f"{_OPTION} {path} is not YAML: {' '.join(str(refusal).split())}"
        ) from None
    except ValidationError as refusal:
        raise WrongUsage("\n  ".join([f"{_OPTION} {path}:", *_told(refusal, content)])) from None
    return [one.declared(path.parent) for one in document.operators]


def write_document(operators: Iterable[OneOperator]) -> str:
    """Word *operators* as a file: what is as it would be anyway is left out."""
    listed = [
        {
            name: _plain(name, value)
            for name, value in one
            if value != OneOperator.model_fields[name].default
        }
        for one in operators
    ]
    text: str = yaml.safe_dump({"operators": listed}, sort_keys=False, allow_unicode=True)
    return text


def _plain(name: str, value: object) -> object:
    if isinstance(value, timedelta):
        return format_duration(value)
    return f"{value:g}/s" if name == "rate" else value


def _told(refusal: ValidationError, content: bytes) -> Sequence[str]:
    """Say what is wrong where; the operator by its code, where it has one."""
    given: Any = yaml.load(content, _NoDoubles)  # noqa: S506 - as above
    told = []
    for fault in refusal.errors(include_url=False, include_input=False):
        match fault["loc"]:
            case ("operators", int(place), *inner):
                one = given["operators"][place]
                code = one.get("code") if isinstance(one, dict) else None
                where = " ".join(map(str, [code or f"operator {place + 1}", *inner]))
            case where_:
                where = " ".join(map(str, where_)) or "the file"
        told.append(f"{where}: {fault['msg']}{_hint(fault['type'], fault['loc'])}")
    return told


def _hint(kind: str, loc: tuple[int | str, ...]) -> str:
    """What may have been meant, where that can be known."""
    if kind == "string_type":
        return '; put it in quotes: "…"'
    if kind != "extra_forbidden":
        return ""
    name = str(loc[-1])
    known = KnownNames.of(Document.model_fields if len(loc) == 1 else OneOperator.model_fields)
    meant = known.near_misses({name: None}).get(name)
    return f"; did you mean {meant}?" if meant else ""
