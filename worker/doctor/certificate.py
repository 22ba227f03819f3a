"""Asks why PostgreSQL's certificate is not accepted: libpq tells neither the cause nor the date."""

import socket
import ssl
import struct
from datetime import timedelta
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from models.database.connection_failures import ConnectionFailure

_WAIT: Final = timedelta(seconds=2)
SSL_REQUEST: Final = struct.pack("!II", 8, 80877103)  # its length, and the code of the protocol
_ACCEPTED: Final = b"S"
_REFUSED: Final = "certificate verify failed"


def verify_failure(failure: ConnectionFailure, url: str) -> str | None:
    """Return OpenSSL's reason if *failure* is that of a certificate, as in "has expired".

    Connects once more, and sends nothing but the wish for TLS.
    """
    authorities = dict(parse_qsl(urlsplit(url).query)).get("sslrootcert")
    if _REFUSED not in failure.reason:
        return None
    try:
        context = ssl.create_default_context(cafile=authorities)
        place = (failure.host, int(failure.port))
        with socket.create_connection(place, _WAIT.total_seconds()) as plain:
            plain.sendall(SSL_REQUEST)
            if plain.recv(1) != _ACCEPTED:
                return None
            with context.wrap_socket(plain, server_hostname=failure.host):
                return None
    except ssl.SSLCertVerificationError as error:
        return error.verify_message.rstrip(".")
    except (OSError, ValueError):
        return None
