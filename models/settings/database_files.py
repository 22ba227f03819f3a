"""The files that a database URL names: whether they are there, and hold what libpq looks for.

libpq reads them with each connection, and a server that is away is waited for. So what can be found
wrong at the start is said then.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from models.settings.addresses import shown_database

_AUTHORITY: Final = "sslrootcert"
_FILES: Final = (_AUTHORITY, "sslcert", "sslkey", "sslcrl")
_SYSTEM: Final = "system"  # no file
_IDENTITY: Final = ("sslcert", "sslkey", "sslpassword")
_PEM: Final = b"-----BEGIN CERTIFICATE-----"
_BYTES_MAX: Final = 4 * 1024 * 1024  # the system's bundle has 0.2 MiB


def database_files_problems(urls: Mapping[str, str], *, now: datetime) -> Iterator[str]:
    """Find what is wrong at *now* with the files that *urls* name: valid ones, by their setting.

    A URL that two settings share is reported for the first.
    """
    checked: set[str] = set()
    for setting, url in urls.items():
        if url not in checked:
            checked.add(url)
            given = dict(parse_qsl(urlsplit(url).query))
            for name, problem in [*_unreadable(given)] or _identity_problems(given, now):
                yield f"{setting}: {name} for {shown_database(url)}: {given[name]}: {problem}"


def database_files_expiring(url: str, *, now: datetime, within: timedelta) -> Iterator[str]:
    """Name our certificates in the files of *url*, which are valid, that expire *within* this."""
    if files := _identity(dict(parse_qsl(urlsplit(url).query))):
        from models.settings.tls_files import FileNames, expiring_certificates  # noqa: PLC0415 - as above

        names = FileNames(*_IDENTITY)
        yield from expiring_certificates(files, names, now=now, within=within)


def _unreadable(given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in _FILES:
        path = given.get(name, _SYSTEM)
        problem = None if path == _SYSTEM else _problem(name, path)
        if problem is not None:
            yield name, problem


def _identity_problems(given: Mapping[str, str], now: datetime) -> Iterator[tuple[str, str]]:
    if files := _identity(given):
        from models.settings.tls_files import FileNames, problems_of_files  # noqa: PLC0415 - loads cryptography, 8 MiB, for files only

        yield from problems_of_files(files, FileNames(*_IDENTITY), now=now)


def _identity(given: Mapping[str, str]) -> Mapping[str, str]:
    """Return our certificate, if its key is in a file, too: libpq has a default for the key."""
    files = {name: given[name] for name in _IDENTITY if name in given}
    return files if {"sslcert", "sslkey"} <= files.keys() else {}


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
