"""Checks the files that a Redis URL names: certificates and a key.

No sentence holds any part of a key or of a password.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from models.settings.redis_address import redis_host, redis_tls
from models.settings.redis_tls import AUTHORITY, CERTIFICATE, FOLDER, KEY, PASSPHRASE
from models.settings.tls_files import FileNames, expiring_certificates, problems_of_files

_NAMES: Final = FileNames(
    authority=AUTHORITY, folder=FOLDER, certificate=CERTIFICATE, key=KEY, passphrase=PASSPHRASE
)


def redis_files_problems(urls: Mapping[str, str], *, now: datetime) -> Iterator[str]:
    """Find what is wrong at *now* with the files that *urls* name: valid ones, by their setting.

    A URL that two settings share is reported for the first.
    """
    checked: set[str] = set()
    for setting, url in urls.items():
        tls = redis_tls(url)
        if tls is not None and url not in checked:
            checked.add(url)
            for name, problem in problems_of_files(tls.files, _NAMES, now=now):
                yield f"{setting}: {name} for {redis_host(url)}: {tls.files[name]}: {problem}"


def redis_files_expiring(url: str, *, now: datetime, within: timedelta) -> Iterator[str]:
    """Name the certificates in the files of *url*, which are valid, that expire *within* this."""
    tls = redis_tls(url)
    if tls is not None:
        yield from expiring_certificates(tls.files, _NAMES, now=now, within=within)
