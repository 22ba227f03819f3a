"""Where Flower serves its pages: below a path, and over TLS, as its own variables say."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

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
    # Here, because it loads cryptography (8 MiB), for files only.
    from worker.process.flower_files import identity_problems  # noqa: PLC0415 - as above

    yield from identity_problems(chain, key, variables=(CERTIFICATE, KEY), now=now)
