"""Reads secrets from files: `ps` shows what is typed as an option, and the shell records it."""

from pathlib import Path

from models.access.pem import pem_text
from models.events.encoding import without_byte_order_mark
from worker.cli.errors import WrongUsage

_FILE_BYTES_MAX = 16 * 1024
_TEXT_BYTES_MAX = 256 * 1024


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


def _read_bytes(path: Path, option: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_TEXT_BYTES_MAX + 1)
    except OSError as refusal:
        raise WrongUsage(f"{option} {path}: {refusal.strerror}") from None
    if len(content) > _TEXT_BYTES_MAX:
        raise WrongUsage(f"{option} {path}: at most {_TEXT_BYTES_MAX // 1024} KiB are taken")
    return content


def read_line(path: Path, *, option: str) -> str:
    """Return the one line in the file at *path*, without the newline that editors append.

    Raises WrongUsage, which names *option*, if the file cannot be read or is not text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES_MAX)
    except OSError as refusal:
        raise WrongUsage(f"{option} {path}: {refusal.strerror}") from None
    try:
        line = without_byte_order_mark(content).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise WrongUsage(f"{option} {path}: not UTF-8 text; put the secret on one line") from None
    if not line:
        raise WrongUsage(f"{option} {path}: the file is empty; put the secret on one line")
    return line
