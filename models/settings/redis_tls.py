"""How a Redis proves that it is ours, and we that we may use it: certificates, and their failures.

There is no unverified connection: a server that anybody could stand in for gets no password. No
sentence holds any part of a key or of a password.
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

VERIFY: Final = "ssl_cert_reqs"
HOSTNAME: Final = "ssl_check_hostname"
AUTHORITY: Final = "ssl_ca_certs"
FOLDER: Final = "ssl_ca_path"
CERTIFICATE: Final = "ssl_certfile"
KEY: Final = "ssl_keyfile"
PASSPHRASE: Final = "ssl_password"  # noqa: S105 - an option's name
FILES: Final = (AUTHORITY, FOLDER, CERTIFICATE, KEY, PASSPHRASE)
OPTIONS: Final = (VERIFY, HOSTNAME, *FILES)
# Where redis-py says which server its error is about.
_SERVER: Final = re.compile(r"(?:connecting to|while reading from|writing to) (\S+:[0-9]+)")
_ALERTS: Final = {  # a part of OpenSSL's reason, and what it means
    "CERTIFICATE_REQUIRED": f"demands a client certificate; expected: {CERTIFICATE} and {KEY}",
    "HANDSHAKE_FAILURE": f"demands a client certificate ({CERTIFICATE}), or another version of TLS",
    "ALERT_UNKNOWN_CA": f"does not trust the authority of our certificate ({CERTIFICATE})",
    "ALERT_BAD_CERTIFICATE": f"refuses our certificate ({CERTIFICATE})",
    "ALERT_CERTIFICATE": f"refuses our certificate ({CERTIFICATE})",
    "WRONG_VERSION_NUMBER": "does not speak TLS on this port; expected: its TLS port",
    "RECORD_LAYER_FAILURE": "does not speak TLS on this port; expected: its TLS port",
}
# All that is left of the alert if the server's end of the connection came first.
_ENDED: Final = (
    "ended the connection: it stops, does not speak TLS on this port, or wants a client certificate"
    f" that it trusts ({CERTIFICATE} and {KEY})"
)


@dataclass(frozen=True, slots=True)
class RedisTls:
    """What a client trusts besides the system's authorities, and what it shows of itself."""

    files: Mapping[str, str] = field(default_factory=dict, repr=False)  # and a key's passphrase

    def options(self) -> dict[str, object]:
        """Return redis-py's arguments, which are Celery's `broker_use_ssl` too; each is explicit.

        An argument that is left out means "verified" to redis-py and "not verified" to kombu.
        """
        return {VERIFY: ssl.CERT_REQUIRED, HOSTNAME: True, **self.files}


def read_tls(options: Mapping[str, str], *, host: str) -> RedisTls:
    """Return what a URL's *options* say. Raises ValueError for one that verifies less."""
    where = f"in the Redis URL of {host}"
    if options.get(VERIFY, "required") not in ("required", "optional"):  # redis-py's own words
        raise ValueError(
            f"{VERIFY} {where} must be required (the default): Slipway connects to no server that"
            f" it cannot verify; leave it out, and for an authority of your own write {AUTHORITY}="
            "FILE"
        )
    if options.get(HOSTNAME, "true").lower() not in ("true", "yes", "1"):
        raise ValueError(
            f"{HOSTNAME} {where} must be true (the default): any server with a certificate of the"
            f" same authority could stand in for yours; leave it out, and use a certificate for"
            f" {host}"
        )
    if empty := [name for name in FILES if name in options and not options[name]]:
        raise ValueError(f"{empty[0]} {where} is empty; expected: the path of a file")
    if CERTIFICATE not in options and {KEY, PASSPHRASE} & options.keys():
        raise ValueError(f"{KEY} and {PASSPHRASE} {where} need {CERTIFICATE}")
    return RedisTls({name: options[name] for name in FILES if name in options})


def tls_failure(error: BaseException) -> str | None:
    """Say what is wrong and what was expected if TLS is the cause of *error*, otherwise None.

    Clients wrap the error of TLS, so the causes are searched; which server it is about stands in
    redis-py's own.
    """
    host, searched = "the server", set[int]()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in searched:
        searched.add(id(cause))
        if named := _SERVER.search(str(cause)):
            host = named[1]
        if isinstance(cause, ssl.SSLError):
            return _described(cause, host)
        if isinstance(cause, FileNotFoundError):
            return f"a file that the Redis URL of {host} names is gone ({', '.join(FILES[:-1])})"
        cause = cause.__cause__ or cause.__context__
    return None


def _described(error: ssl.SSLError, host: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"{host} does not prove that it is the server of the Redis URL"
            f" ({error.verify_message.rstrip('.')}); expected: a certificate for this host, valid"
            f" now, of an authority of the system or of {AUTHORITY}; it was sent nothing"
        )
    reason = error.reason or str(error)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return f"{host} {_ENDED}"
    for word, meaning in _ALERTS.items():
        if word in reason:
            return f"{host} {meaning} ({reason})"
    return f"TLS with {host} failed ({reason})"
