"""A setting that names a file with one line: a secret, or an address that may hold a password."""

from pathlib import Path
from typing import Final

from models.settings.errors import InvalidSettings

_BYTES_MAX: Final = 8 * 1024


def read_line(path: Path, *, setting: str, expected: str) -> str:
    """Return the line in the file at *path*, without space around it.

    Raises InvalidSettings, which names *setting*, the file and what is *expected*, and nothing of
    what the file holds.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_BYTES_MAX + 1)
        line = content.decode("utf-8-sig").strip()
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "is not text in UTF-8"
    else:
        if len(content) > _BYTES_MAX:
            problem = f"has more than {_BYTES_MAX // 1024} KiB"
        elif not line:
            problem = "is empty"
        elif len(line.splitlines()) > 1:
            problem = "holds more than one line"
        elif not line.isprintable():
            problem = "holds a control character"
        else:
            return line
    raise InvalidSettings([f"{setting}: {path} {problem}; expected: {expected}"])
