"""`slipway operators apply` and `export`: operators kept as code, in a YAML file."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

import typer
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from sqlalchemy import text

from models.access.document import open_access
from models.access.values import NO_ACCESS, Access
from models.events.field_names import KnownNames
from models.operators import OperatorLine, OperatorTerms, list_operators
from models.operators.desired import (
    DesiredChange,
    DesiredOperator,
    Plan,
    Planned,
    carry_out,
    make_plan,
)
from models.operators.interventions import Person
from models.operators.words import format_term
from models.platform.clock import DatabaseClock
from models.platform.durations import Duration, format_duration
from models.platform.encryption import Vault
from models.settings.settings import read_settings
from worker.cli.database import transaction
from worker.cli.errors import Failed, WrongUsage
from worker.cli.operators.access_file import access_document, access_from
from worker.cli.options import per_second
from worker.cli.output import remark, show_json
from worker.cli.secret_file import read_line
from worker.cli.up.environment import write_private
from worker.doctor.terms import access_warnings, warnings_about

_BYTES_MAX: Final = 4 * 1024 * 1024
_OPTION: Final = "-f"
# The secret that remains when a rotation has ended.
_SECRETS: Final = text("""
    SELECT code, coalesce(next_secret, secret) AS secret,
           CASE WHEN access_switch_at IS NULL THEN access ELSE next_access END AS access
      FROM operator""")
_SIGNS: Mapping[DesiredChange, str] = {
    DesiredChange.ADD: "+",
    DesiredChange.CHANGE: "~",
    DesiredChange.NOTHING: "=",
}


# The format


def _rate(value: object) -> object:
    """Read `50/s` as the command line does; a number is a rate per second."""
    if not isinstance(value, str):
        return value
    try:
        return per_second(value)
    except typer.BadParameter as refusal:
        raise ValueError(str(refusal)) from None


class OneOperator(BaseModel):
    """An operator. A field that is left out has the default of `slipway operators add`."""

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
    user_agent: str | None = None
    timeout: Duration | None = None
    retry_schedule: str | None = None
    retry_limit: Duration | None = None
    taken: str | None = None
    create_taken: str | None = None
    success_json: bool = False
    success_text: str | None = None
    wants: str | None = None
    pass_trace: bool = False
    keep_bodies: Duration | None = None
    access: dict[str, Any] | None = None  # as `slipway operators access --file` reads it
    secret_file: str | None = None
    api_key_file: str | None = None

    def desired(self, folder: Path) -> DesiredOperator:
        """Read the secret files, which are named relative to *folder*. Raises WrongUsage."""
        terms = {field.name: getattr(self, field.name) for field in fields(OperatorTerms)}
        return DesiredOperator(
            terms=OperatorTerms(**terms),
            enabled=self.enabled,
            access=None
            if self.access is None
            else access_from(self.access, folder=folder, where=f"{self.code}: access"),
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


class _GivenTwice(yaml.constructor.ConstructorError):
    """A key appears twice; its problem names the key."""


class _UniqueKeysLoader(yaml.SafeLoader):
    """Loads YAML that holds nothing but data, and refuses a key that appears twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the library's signature
        names = [key.value for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                problem = f"{name!r} is given twice"
                raise _GivenTwice(None, None, problem, node.start_mark)
        return super().construct_mapping(node, deep)


def _read_document(path: Path) -> list[DesiredOperator]:
    """Read the file at *path* and the secret files it names. Raises WrongUsage."""
    try:
        with path.open("rb") as file:
            content = file.read(_BYTES_MAX + 1)
    except OSError as refusal:
        raise WrongUsage(f"{_OPTION} {path}: {refusal.strerror}") from None
    if len(content) > _BYTES_MAX:
        raise WrongUsage(f"{_OPTION} {path}: at most {_BYTES_MAX // 2**20} MiB are taken")
    try:
        document = Document.model_validate(yaml.load(content, _UniqueKeysLoader))  # noqa: S506 - a safe loader's child
    except (yaml.YAMLError, UnicodeDecodeError) as refusal:
        raise WrongUsage(f"{_OPTION} {path}{_not_yaml(refusal)}") from None
    except ValidationError as refusal:
        messages = _messages(refusal, content)
        raise WrongUsage("\n  ".join([f"{_OPTION} {path}:", *messages])) from None
    return [operator.desired(path.parent) for operator in document.operators]


def _not_yaml(refusal: yaml.YAMLError | UnicodeDecodeError) -> str:
    """Say where the text is no YAML; its own words may hold what was typed, perhaps a secret."""
    mark = getattr(refusal, "problem_mark", None)
    line = "" if mark is None else f", line {mark.line + 1}"
    problem = refusal.problem if isinstance(refusal, _GivenTwice) else "it is not YAML"
    return f"{line}: {problem}"


def _messages(refusal: ValidationError, content: bytes) -> Iterator[str]:
    """Describe what is wrong where; an operator is named by its code, if it has one."""
    raw: Any = yaml.load(content, _UniqueKeysLoader)  # noqa: S506 - as above
    for error in refusal.errors(include_url=False, include_input=False):
        match error["loc"]:
            case ("operators", int(place), *inner):
                entry = raw["operators"][place]
                code = entry.get("code") if isinstance(entry, dict) else None
                where = " ".join(map(str, [code or f"operator {place + 1}", *inner]))
            case location:
                where = " ".join(map(str, location)) or "the file"
        yield f"{where}: {error['msg']}{_advice(error['type'], error['loc'])}"


def _advice(kind: str, location: tuple[int | str, ...]) -> str:
    """Return what was probably meant, where that can be known."""
    if kind == "string_type":
        return '; put it in quotes: "…"'
    if kind != "extra_forbidden":
        return ""
    name = str(location[-1])
    known = KnownNames.of(Document.model_fields if len(location) == 1 else OneOperator.model_fields)
    meant = known.near_misses({name: None}).get(name)
    return f"; did you mean {meant}?" if meant else ""


# `apply`


def apply_file(path: Path, *, dry_run: bool, who: str, why: str, as_json: bool) -> None:
    """Apply the whole file in one transaction, or nothing of it; print the differences."""
    settings = read_settings()
    desired = _read_document(path)
    vault = Vault.with_keys(settings.secret_key)
    with transaction() as connection:
        now = DatabaseClock().now(connection)
        plan = make_plan(connection, desired, vault=vault, now=now)
        if not dry_run:
            carry_out(connection, plan, vault=vault, now=now, person=Person(who, why))
    for planned in plan.steps:
        if planned.step is not DesiredChange.NOTHING:
            access = planned.desired.access or NO_ACCESS
            warnings = warnings_about(planned.desired.terms, settings)
            for warning in [*warnings, *access_warnings(access, settings)]:
                remark(f"warning: {planned.code}: {warning}")
    if as_json:
        show_json(_as_json(plan, applied=not dry_run))
        return
    for line in _lines(plan):
        typer.echo(line)
    if dry_run:
        remark("dry run: nothing was changed")


def _lines(plan: Plan) -> Iterator[str]:
    for planned in plan.steps:
        yield f"{_SIGNS[planned.step]} {planned.code}{_added(planned)}"
        for name, (before, after) in planned.differences.items():
            yield f"    {name}: {format_term(before)} -> {format_term(after)}"
    if plan.unlisted:
        yield f"not in the file, left as they are: {', '.join(plan.unlisted)}"


def _added(planned: Planned) -> str:
    terms = planned.desired.terms
    return f" ({terms.protocol}, {terms.url})" if planned.step is DesiredChange.ADD else ""


def _as_json(plan: Plan, *, applied: bool) -> dict[str, object]:
    steps = [
        {
            "code": planned.code,
            "step": planned.step,
            "differences": {
                name: {"from": before, "to": after}
                for name, (before, after) in planned.differences.items()
            },
        }
        for planned in plan.steps
    ]
    return {"applied": applied, "operators": steps, "unlisted": plan.unlisted}


# `export`


def export_file(path: Path | None, *, secrets: Path | None) -> None:
    """Print the operators, or write them to *path*; write secrets below *secrets*, if given.

    Those whose partnership has ended are left out: no file can declare them.
    """
    vault = Vault.with_keys(read_settings().secret_key)
    with transaction() as connection:
        lines = [line for line in list_operators(connection) if line.ended_at is None]
        sealed = {row.code: row for row in connection.execute(_SECRETS)}
    folder = None if path is None else path.parent
    files: dict[Path, str] = {}
    place = _place(secrets, relative_to=folder)
    operators = [_operator(line, place(line.code)) for line in lines]
    if secrets is not None:
        for operator in operators:
            row = sealed[operator.code]
            files[_secret_file(secrets, operator.code)] = vault.decrypt(row.secret) + "\n"
            if row.access is not None:
                access = open_access(row.access, vault)
                operator.access = _access(access, operator.code, secrets, files, folder)
    document = _write_document(operators)
    try:
        _write_secrets(files, secrets)
        if path is not None:
            path.write_text(document, encoding="utf-8")
    except OSError as refusal:
        raise Failed(f"{refusal.filename}: {refusal.strerror}") from None
    if path is None:
        typer.echo(document, nl=False)
    if any(line.keys for line in lines):
        remark("API keys are not in the file: only their hashes are stored")
    if secrets is None:
        remark(
            "secrets and accesses are not in the file; with --secrets DIR each gets a file of its"
            " own"
        )


def _write_secrets(files: Mapping[Path, str], folder: Path | None) -> None:
    if folder is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file, content in files.items():
        write_private(file, content)


def _access(
    access: Access,
    code: str,
    secrets: Path,
    files: dict[Path, str],
    relative_to: Path | None,
) -> dict[str, Any]:
    """Return the access as the document holds it, and add what it names to *files*."""
    document, added = access_document(
        access,
        code=code,
        folder=secrets,
        named=lambda file: str(file) if relative_to is None else os.path.relpath(file, relative_to),
    )
    files.update(added)
    return document


def _write_document(operators: Iterable[OneOperator]) -> str:
    """Format *operators* as a file; fields with their default are left out."""
    listed = [
        {
            name: _format_field(name, value)
            for name, value in operator
            if value != OneOperator.model_fields[name].default
        }
        for operator in operators
    ]
    document: str = yaml.safe_dump({"operators": listed}, sort_keys=False, allow_unicode=True)
    return document


def _format_field(name: str, value: object) -> object:
    if isinstance(value, timedelta):
        return format_duration(value)
    return f"{value:g}/s" if name == "rate" else value


def _operator(line: OperatorLine, secret_file: str | None) -> OneOperator:
    terms = {field.name: getattr(line, field.name) for field in fields(OperatorTerms)}
    return OneOperator(**terms, enabled=line.disabled_at is None, secret_file=secret_file)


def _place(secrets: Path | None, *, relative_to: Path | None) -> Callable[[str], str | None]:
    """Return how the document names an operator's secret file: relative to its own folder."""

    def place(code: str) -> str | None:
        if secrets is None:
            return None
        file = _secret_file(secrets, code)
        return os.path.relpath(file, relative_to) if relative_to is not None else str(file)

    return place


def _secret_file(folder: Path, code: str) -> Path:
    return folder / f"{quote(code, safe='')}.secret"
