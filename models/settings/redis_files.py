"""Checks the files that a Redis URL names: certificates and a key.

No sentence holds any part of a key or of a password.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from models.access.certificates import (
    authorities_problems,
    certificate_problems,
    client_certificate,
)
from models.access.pem import certificate_blocks, read_certificates
from models.platform.timestamps import format_timestamp
from models.settings.redis_address import redis_host, redis_tls
from models.settings.redis_tls import AUTHORITY, CERTIFICATE, FOLDER, KEY, PASSPHRASE, RedisTls

_BYTES_MAX: Final = 4 * 1024 * 1024  # the system's bundle has 0.2 MiB


def redis_files_problems(urls: Mapping[str, str], *, now: datetime) -> Iterator[str]:
    """Find what is wrong at *now* with the files that *urls* name: valid ones, by their setting.

    A URL that two settings share is reported for the first.
    """
    checked: set[str] = set()
    for setting, url in urls.items():
        tls = redis_tls(url)
        if tls is not None and url not in checked:
            checked.add(url)
            for problem in _file_problems(tls, host=redis_host(url), now=now):
                yield f"{setting}: {problem}"


def redis_files_expiring(url: str, *, now: datetime, within: timedelta) -> Iterator[str]:
    """Name the certificates in the files of *url*, which are valid, that expire *within* this."""
    tls = redis_tls(url)
    if tls is not None:
        yield from _expiring_files(tls, now=now, within=within)


def _file_problems(tls: RedisTls, *, host: str, now: datetime) -> Iterator[str]:
    """Find what is wrong at *now* with the files that the URL of *host* names."""
    for check in (_authority_problems, _folder_problems, _identity_problems):
        try:
            for name, problem in check(tls.files, now):
                yield f"{name} for {host}: {tls.files[name]}: {problem}"
        except _FileUnreadable as error:
            yield f"{error.name} for {host}: {tls.files[error.name]}: {error}"


def _expiring_files(tls: RedisTls, *, now: datetime, within: timedelta) -> Iterator[str]:
    """Name the certificates in the files, which can be read, that expire *within* this long."""
    for name in (AUTHORITY, CERTIFICATE):
        if name in tls.files:
            for certificate in read_certificates(certificate_blocks(_read(tls.files, name))):
                if certificate.not_valid_after_utc <= now + within:
                    until = format_timestamp(certificate.not_valid_after_utc, "seconds")
                    yield f"a certificate in {tls.files[name]} ({name}) expires at {until}"


class _FileUnreadable(Exception):
    """The file that the option *name* names cannot be read."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"cannot be read: {why}")
        self.name = name


def _read(files: Mapping[str, str], name: str) -> str:
    try:
        with Path(files[name]).open("rb") as file:
            content = file.read(_BYTES_MAX + 1)
    except OSError as error:
        raise _FileUnreadable(name, error.strerror or type(error).__name__) from None
    except ValueError:  # a null character
        raise _FileUnreadable(name, "it is no path") from None
    if len(content) > _BYTES_MAX:
        raise _FileUnreadable(name, "it is too large for a file of certificates")
    return content.decode("ascii", "replace")


_Problems = Iterator[tuple[str, str]]  # each with the option that it is about


def _authority_problems(files: Mapping[str, str], now: datetime) -> _Problems:
    if AUTHORITY in files:
        for problem in authorities_problems(_read(files, AUTHORITY), now=now):
            yield AUTHORITY, problem


def _folder_problems(files: Mapping[str, str], _now: datetime) -> _Problems:
    if FOLDER in files and not Path(files[FOLDER]).is_dir():
        yield FOLDER, f"it is no folder; for one file of certificates write {AUTHORITY}"


def _identity_problems(files: Mapping[str, str], now: datetime) -> _Problems:
    if CERTIFICATE not in files:
        return
    chain = _read(files, CERTIFICATE)
    key = _read(files, KEY) if KEY in files else chain  # OpenSSL takes one file with both
    try:
        blocks = certificate_blocks(chain)
        certificate = client_certificate(blocks, key, passphrase=files.get(PASSPHRASE))
    except ValueError as error:
        yield KEY if KEY in files else CERTIFICATE, f"{error} ({PASSPHRASE})"
        return
    for problem in certificate_problems(certificate, now=now):
        yield CERTIFICATE, problem
