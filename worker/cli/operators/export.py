"""Writes the operators as a file, with their secrets in files of their own if asked to."""

import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from urllib.parse import quote

import typer
from sqlalchemy import text

from models.operators import OperatorLine, OperatorTerms, list_operators
from models.platform.encryption import Vault
from models.settings.settings import read_settings
from worker.cli.database import transaction
from worker.cli.errors import Failed
from worker.cli.operators.file_format import OneOperator, write_document
from worker.cli.output import remark
from worker.cli.up.environment import write_private

# The one that will be left when an exchange is over.
SECRETS = text("SELECT code, coalesce(next_secret, secret) AS secret FROM operator")


def export_file(path: Path | None, *, secrets: Path | None) -> None:
    """Print the operators, or write them to *path*; their secrets below *secrets*, or nowhere."""
    vault = Vault.with_keys(read_settings().secret_key)
    with transaction() as connection:
        lines = list_operators(connection)
        sealed = {row.code: row.secret for row in connection.execute(SECRETS)}
    place = _place(secrets, relative_to=None if path is None else path.parent)
    document = write_document([_operator(line, place(line.code)) for line in lines])
    try:
        if secrets is not None:
            secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
            for line in lines:
                write_private(_file(secrets, line.code), vault.open(sealed[line.code]) + "\n")
        if path is not None:
            path.write_text(document, encoding="utf-8")
    except OSError as refusal:
        raise Failed(f"{refusal.filename}: {refusal.strerror}") from None
    if path is None:
        typer.echo(document, nl=False)
    if any(line.keys for line in lines):
        remark("API keys are not in the file: only their hashes are kept")
    if secrets is None:
        remark("secrets are not in the file; with --secrets DIR each gets a file of its own")


def _operator(line: OperatorLine, secret_file: str | None) -> OneOperator:
    terms = {one.name: getattr(line, one.name) for one in fields(OperatorTerms)}
    return OneOperator(**terms, enabled=line.disabled_at is None, secret_file=secret_file)


def _place(secrets: Path | None, *, relative_to: Path | None) -> Callable[[str], str | None]:
    """How the document names an operator's secret file: relative to its own folder."""

    def place(code: str) -> str | None:
        if secrets is None:
            return None
        file = _file(secrets, code)
        return os.path.relpath(file, relative_to) if relative_to is not None else str(file)

    return place


def _file(folder: Path, code: str) -> Path:
    return folder / f"{quote(code, safe='')}.secret"
