"""Where a command gets a password from: a file, stdin, or a person; never from an option."""

import sys
from pathlib import Path

import typer

from worker.cli.errors import WrongUsage
from worker.cli.secret_file import read_line

_OPTION = "--password-file"
_STDIN = Path("-")
_CHARACTERS_MAX = 16 * 1024


def read_password(path: Path | None) -> str:
    """Return the password in the file, on stdin for `-`, or as a person types it twice.

    Raises WrongUsage.
    """
    if path == _STDIN:
        line = sys.stdin.readline(_CHARACTERS_MAX).rstrip("\r\n")
        if not line:
            raise WrongUsage(f"{_OPTION} -: stdin is empty; write the password on one line")
        return line
    if path is not None:
        return read_line(path, option=_OPTION)
    if not sys.stdin.isatty():
        raise WrongUsage(f"stdin is no terminal to ask for a password; pass {_OPTION} FILE")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password
