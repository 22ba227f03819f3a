"""The files that a database URL names: whether they are there, and hold what libpq looks for.

libpq reads them with each connection, and a server that is away is waited for. So what can be found
wrong at the start is said then.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from models.settings.addresses import shown_database

_AUTHORITY: Final = "sslrootcert"
_FILES: Final = (_AUTHORITY, "sslcert", "sslkey", "sslcrl")
_SYSTEM: Final = "system"  # no file
_PEM: Final = b"-----BEGIN CERTIFICATE-----"
_BYTES_MAX: Final = 4 * 1024 * 1024  # the system's bundle has 0.2 MiB


def database_files_problems(urls: Mapping[str, str]) -> Iterator[str]:
    """Find what is wrong with the files that *urls* name: valid ones, by their setting.

    A URL that two settings share is reported for the first.
    """
    checked: set[str] = set()
    for setting, url in urls.items():
        if url not in checked:
            checked.add(url)
            given = dict(parse_qsl(urlsplit(url).query))
            for name in _FILES:
                path = given.get(name, _SYSTEM)
                problem = None if path == _SYSTEM else _problem(name, path)
                if problem is not None:
                    yield f"{setting}: {name} for {shown_database(url)}: {path}: {problem}"


def _problem(name: str, path: str) -> str | None:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_BYTES_MAX)
    except OSError as error:
        return f"cannot be read: {error.strerror or type(error).__name__}"
    except ValueError:  # a null character
        return "cannot be read: it is no path"
    # No closer look: the system's file has certificates that only OpenSSL accepts.
    if name == _AUTHORITY and _PEM not in content:
        return "holds no certificate; expected: PEM, which begins with -----BEGIN CERTIFICATE-----"
    return None
