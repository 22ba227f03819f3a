"""The certificate authorities that every call trusts: the system's, and the installation's own.

libcurl takes one file. It keeps what it has parsed of a file (a bundle takes milliseconds), but not
of bytes in memory or of a folder; so both are joined in a file, without a name and a disk.
"""

import os
import ssl
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509

from models.access.pem import pem_text, read_certificates, write_certificates
from models.settings.errors import InvalidSettings, variable_name

_SETTING: Final = variable_name("partner_ca_file")
_BYTES_MAX: Final = 4 * 1024 * 1024  # the system's bundle has 0.2 MiB
_EXPECTED: Final = "a file of your authorities' certificates (PEM)"
# Where distributions keep their bundle; pycurl's wheel looks there, too.
_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/usr/share/ssl/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


class AuthoritiesFile:
    """Certificates as a file of this process, for as long as this object lives."""

    def __init__(self, content: bytes) -> None:
        """Write *content*."""
        descriptor = os.memfd_create("authorities")
        self._path = f"/proc/self/fd/{descriptor}"
        weakref.finalize(self, os.close, descriptor)
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)

    def __str__(self) -> str:
        """Return the path, for this process."""
        return self._path


def system_bundle() -> str | None:
    """Return the path of the system's authorities, or None if there is none that is known."""
    paths = (ssl.get_default_verify_paths().cafile, *_BUNDLES)
    return next((path for path in paths if path and Path(path).is_file()), None)


def trusted_with(own: Path) -> AuthoritiesFile:
    """Return the system's authorities and those in the file *own*. Raises InvalidSettings."""
    content = write_certificates(read_authorities(own)).encode()
    bundle = system_bundle()
    system = b"" if bundle is None else Path(bundle).read_bytes()
    return AuthoritiesFile(system + b"\n" + content)


def read_authorities(path: Path, *, setting: str = _SETTING) -> Sequence[x509.Certificate]:
    """Return the certificates in the file that *setting* names. Raises InvalidSettings."""
    try:
        with path.open("rb") as file:
            content = file.read(_BYTES_MAX + 1)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    else:
        try:
            if len(content) <= _BYTES_MAX:
                return read_certificates(pem_text(content))
            problem = "is too large"
        except ValueError as refusal:
            problem = str(refusal)
    raise InvalidSettings([f"{setting}: {path} {problem}; expected: {_EXPECTED}"])
