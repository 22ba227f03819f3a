"""Checks the certificate and the key with which Flower speaks TLS."""

import ssl
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from models.access.pem import certificate_blocks, pem_text, read_certificates
from models.platform.timestamps import format_timestamp


def identity_problems(
    chain: str, key: str, *, variables: tuple[str, str], now: datetime
) -> Iterator[str]:
    """Find what is wrong at *now* with the files *chain* and *key*, which *variables* name."""
    of_chain, of_key = variables
    try:
        certificates = read_certificates(certificate_blocks(pem_text(Path(chain).read_bytes())))
    except OSError as error:
        yield f"{of_chain}: {chain} cannot be read: {error.strerror}"
        return
    except ValueError as refusal:
        yield f"{of_chain}: {chain} {refusal}"
        return
    if certificates[0].not_valid_after_utc <= now:
        until = format_timestamp(certificates[0].not_valid_after_utc, "seconds")
        yield f"{of_chain}: the certificate in {chain} expired at {until}"
    for problem in _key_problems(chain, key):
        yield f"{of_key}: {key} {problem}"


def _key_problems(chain: str, key: str) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(chain, key, password="")  # or OpenSSL would ask at the terminal
    except ssl.SSLError as error:
        yield (
            f"is not the key of the certificate in {chain}, in PEM and without a"
            f" passphrase ({error.reason})"
        )
    except OSError as error:
        yield f"cannot be read: {error.strerror}"
