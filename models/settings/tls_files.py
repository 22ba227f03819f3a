"""The files of certificates that a server's URL names: what is wrong with them, what expires.

No sentence holds any part of a key or of a password.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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

_BYTES_MAX: Final = 4 * 1024 * 1024  # the system's bundle has 0.2 MiB


@dataclass(frozen=True, slots=True)
class FileNames:
    """What a kind of URL calls its options."""

    certificate: str
    key: str
    passphrase: str
    authority: str | None = None  # a file of them
    folder: str | None = None


def problems_of_files(
    files: Mapping[str, str], names: FileNames, *, now: datetime
) -> Iterator[tuple[str, str]]:
    """Find what is wrong at *now* with *files*, by option: each with the option that it is about.

    A passphrase is among them.
    """
    for check in (_authority_problems, _folder_problems, _identity_problems):
        try:
            yield from check(files, names, now)
        except _FileUnreadable as error:
            yield error.name, str(error)


def expiring_certificates(
    files: Mapping[str, str], names: FileNames, *, now: datetime, within: timedelta
) -> Iterator[str]:
    """Name the certificates in the files, which can be read, that expire *within* this long."""
    for name in (names.authority, names.certificate):
        if name is not None and name in files:
            for certificate in read_certificates(certificate_blocks(_read(files, name))):
                if certificate.not_valid_after_utc <= now + within:
                    until = format_timestamp(certificate.not_valid_after_utc, "seconds")
                    yield f"a certificate in {files[name]} ({name}) expires at {until}"


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


def _authority_problems(files: Mapping[str, str], names: FileNames, now: datetime) -> _Problems:
    if names.authority is not None and names.authority in files:
        for problem in authorities_problems(_read(files, names.authority), now=now):
            yield names.authority, problem


def _folder_problems(files: Mapping[str, str], names: FileNames, _now: datetime) -> _Problems:
    folder = names.folder
    if folder is not None and folder in files and not Path(files[folder]).is_dir():
        yield folder, f"it is no folder; for one file of certificates write {names.authority}"


def _identity_problems(files: Mapping[str, str], names: FileNames, now: datetime) -> _Problems:
    if names.certificate not in files:
        return
    chain = _read(files, names.certificate)
    key = _read(files, names.key) if names.key in files else chain  # OpenSSL takes one with both
    try:
        blocks = certificate_blocks(chain)
        certificate = client_certificate(blocks, key, passphrase=files.get(names.passphrase))
    except ValueError as error:
        option = names.key if names.key in files else names.certificate
        yield option, f"{error} ({names.passphrase})"
        return
    for problem in certificate_problems(certificate, now=now):
        yield names.certificate, problem
