"""Reads secrets from files: `ps` shows what is typed as an option, and the shell records it."""

from pathlib import Path

from models.access.pem import pem_text
from models.events.encoding import without_byte_order_mark
from worker.cli.errors import WrongUsage

_LINE_BYTES_MAX = 16 * 1024
_TEXT_BYTES_MAX = 256 * 1024
_ONE_LINE = "put the secret on one line"


def read_text(path: Path, *, option: str) -> str:
    """Return the text in the file at *path*. Raises WrongUsage, which names *option*."""
    try:
        return without_byte_order_mark(_read_bytes(path, option)).decode()
    except UnicodeDecodeError:
        raise WrongUsage(f"{option} {path}: not UTF-8 text") from None


def read_pem(path: Path, *, option: str) -> str:
    """Return the text in the PEM file at *path*. Raises WrongUsage, which names *option*."""
    try:
        return pem_text(_read_bytes(path, option))
    except ValueError as refusal:
        raise WrongUsage(f"{option} {path}: the file {refusal}") from None


def read_line(path: Path, *, option: str) -> str:
    """Return the one line in the file at *path*, without the newline that editors append.

    Raises WrongUsage, which names *option*, if the file cannot be read or is not one line of text.
    """
    content = _read_bytes(path, option, limit=_LINE_BYTES_MAX)
    try:
        line = without_byte_order_mark(content).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise WrongUsage(f"{option} {path}: not UTF-8 text; {_ONE_LINE}") from None
    if not line:
        raise WrongUsage(f"{option} {path}: the file is empty; {_ONE_LINE}")
    if "\n" in line or "\r" in line:
        raise WrongUsage(f"{option} {path}: the file has more than one line; {_ONE_LINE}")
    return line


def _read_bytes(path: Path, option: str, *, limit: int = _TEXT_BYTES_MAX) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as refusal:
        raise WrongUsage(f"{option} {path}: {refusal.strerror}") from None
    except ValueError:  # a null character
        raise WrongUsage(f"{option}: it is not the path of a file") from None
    if len(content) > limit:
        raise WrongUsage(f"{option} {path}: at most {limit // 1024} KiB are taken")
    return content
