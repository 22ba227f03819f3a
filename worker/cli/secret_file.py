"""Secrets come from files: what is typed as an option is seen by `ps` and kept by the shell."""

from pathlib import Path

from models.events.encoding import without_byte_order_mark
from worker.cli.errors import WrongUsage

_FILE_BYTES_MAX = 16 * 1024


def read_line(path: Path, *, option: str) -> str:
    """The one line in the file at *path*, without the line's end that editors put behind it.

    Raises WrongUsage, naming *option*, when the file cannot be read or is not text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES_MAX)
    except OSError as refusal:
        raise WrongUsage(f"{option} {path}: {refusal.strerror}") from None
    try:
        line = without_byte_order_mark(content).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise WrongUsage(f"{option} {path}: not UTF-8 text; put the one line into it") from None
    if not line:
        raise WrongUsage(f"{option} {path}: the file is empty; put the one line into it")
    return line
