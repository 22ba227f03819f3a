"""Where Flower serves its pages: below a path, and over TLS, as its own variables say."""

import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from models.access.pem import certificate_blocks, pem_text, read_certificates
from models.platform.timestamps import format_timestamp
from models.settings.errors import InvalidSettings
from models.settings.listening import host_and_port

PREFIX: Final = "FLOWER_URL_PREFIX"
CERTIFICATE: Final = "FLOWER_CERTFILE"
KEY: Final = "FLOWER_KEYFILE"
# No character means anything to a pattern: Flower makes one of it.
_PATH: Final = re.compile(r"/?[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*/?")


@dataclass(frozen=True, slots=True)
class FlowerPages:
    """The path of all its pages, `/` or `/prefix/`, and whether it speaks TLS."""

    path: str
    tls: bool

    def address(self, host: str, port: int) -> str:
        """Return the URL of its first page."""
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{host_and_port(host, port)}{self.path if self.path != '/' else ''}"


def flower_pages(environment: Mapping[str, str]) -> FlowerPages:
    """Return what the variables say, unchecked."""
    prefix = environment.get(PREFIX, "").strip("/")
    return FlowerPages(f"/{prefix}/" if prefix else "/", tls=bool(environment.get(CERTIFICATE)))


def check_flower_pages(environment: Mapping[str, str], *, now: datetime) -> None:
    """Raise InvalidSettings if the variables, or files that they name, cannot be used at *now*."""
    if problems := [*_prefix_problems(environment), *_file_problems(environment, now)]:
        raise InvalidSettings(problems)


def _prefix_problems(environment: Mapping[str, str]) -> Iterator[str]:
    given = environment.get(PREFIX, "")
    if given and not _PATH.fullmatch(given):
        yield (
            f"{PREFIX} must be a path of letters, digits, _ and -, without host and query, for"
            " instance /flower; the proxy in front passes it on"
        )


def _file_problems(environment: Mapping[str, str], now: datetime) -> Iterator[str]:
    chain, key = environment.get(CERTIFICATE), environment.get(KEY)
    if not chain or not key:
        if chain or key:
            yield f"{CERTIFICATE} and {KEY} need each other: set both for TLS, or neither"
        return
    try:
        certificates = read_certificates(certificate_blocks(pem_text(Path(chain).read_bytes())))
    except OSError as error:
        yield f"{CERTIFICATE}: {chain} cannot be read: {error.strerror}"
        return
    except ValueError as refusal:
        yield f"{CERTIFICATE}: {chain} {refusal}"
        return
    if certificates[0].not_valid_after_utc <= now:
        until = format_timestamp(certificates[0].not_valid_after_utc, "seconds")
        yield f"{CERTIFICATE}: the certificate in {chain} expired at {until}"
    yield from _key_problems(chain, key)


def _key_problems(chain: str, key: str) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(chain, key, password="")  # or OpenSSL would ask at the terminal
    except ssl.SSLError as error:
        yield (
            f"{KEY}: {key} is not the key of the certificate in {chain}, in PEM and without a"
            f" passphrase ({error.reason})"
        )
    except OSError as error:
        yield f"{KEY}: {key} cannot be read: {error.strerror}"
