"""Reads certificates and keys as people enter them (PEM), and finds what is wrong with them.

No sentence holds any part of a key.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization

from models.access.pem import plain_certificates, read_certificates
from models.access.values import ClientCertificate
from models.platform.timestamps import format_timestamp

_PRIVATE: Final = "PRIVATE KEY"


def client_certificate(chain: str, key: str, *, passphrase: str | None = None) -> ClientCertificate:
    """Return certificate and key as they are stored: the key without its passphrase.

    Raises ValueError, with what to change, for a key that cannot be read.
    """
    try:
        private = serialization.load_pem_private_key(
            key.encode(), None if passphrase is None else passphrase.encode()
        )
    except TypeError:
        wanted = "it has no passphrase" if passphrase else "it is encrypted: give its passphrase"
        raise ValueError(f"the client certificate's key cannot be read: {wanted}") from None
    except (ValueError, UnsupportedAlgorithm):
        why = "the passphrase does not fit, or it is no key" if passphrase else _kind(key)
        raise ValueError(f"the client certificate's key cannot be read: {why}") from None
    plain = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return ClientCertificate(plain_certificates(chain), plain.decode())


def certificate_problems(certificate: ClientCertificate, *, now: datetime) -> Iterator[str]:
    """Find what is wrong with a client certificate at *now*."""
    try:
        chain = read_certificates(certificate.chain)
    except ValueError as refusal:
        yield f"the client certificate {refusal}"
        return
    first = chain[0]
    if _public(first.public_key()) != _public_of_key(certificate.key):
        yield (
            "the client certificate and the key do not belong together; the certificate of the key"
            " comes first in its file, then those that issued it"
        )
    yield from _validity_problems(first, "the client certificate", now)
    for issued, issuer in pairwise(chain):
        if issued.issuer != issuer.subject:
            yield (
                "the client certificate's chain is out of order: after each certificate comes the"
                f" one that issued it, and {name_of(issuer)} did not issue {name_of(issued)}"
            )
            return


def authorities_problems(authorities: str, *, now: datetime) -> Iterator[str]:
    """Find what is wrong with a bundle of CA certificates at *now*."""
    try:
        certificates = read_certificates(authorities)
    except ValueError as refusal:
        yield f"the CA bundle {refusal}"
        return
    if all(certificate.not_valid_after_utc <= now for certificate in certificates):
        yield (
            f"the CA bundle has expired: {name_of(certificates[0])} was valid until"
            f" {format_timestamp(certificates[0].not_valid_after_utc, 'seconds')}"
        )


def name_of(certificate: x509.Certificate) -> str:
    """Return the subject for a person, like `CN=acme`."""
    return certificate.subject.rfc4514_string()[:200] or "(no name)"


def fingerprint_of(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate, as hexadecimal digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def _validity_problems(certificate: x509.Certificate, what: str, now: datetime) -> Iterator[str]:
    if certificate.not_valid_after_utc <= now:
        until = format_timestamp(certificate.not_valid_after_utc, "seconds")
        yield f"{what} expired at {until}; ask for a new one"
    if certificate.not_valid_before_utc > now:
        since = format_timestamp(certificate.not_valid_before_utc, "seconds")
        yield f"{what} is not valid before {since}"


def _public(key: object) -> bytes:
    assert hasattr(key, "public_bytes"), "every public key of X.509 has it"
    encoded: bytes = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def _public_of_key(key: str) -> bytes:
    return _public(serialization.load_pem_private_key(key.encode(), None).public_key())


def _kind(pem: str) -> str:
    """Describe what was given instead of a key."""
    if "-----BEGIN" not in pem:
        return "it is not PEM, which begins with -----BEGIN"
    if _PRIVATE in pem:
        return "it is damaged, or of another kind"
    if "BEGIN CERTIFICATE REQUEST" in pem:
        return "it is a request for a certificate, not the key"
    if "BEGIN CERTIFICATE" in pem:
        return "it is a certificate, not the key"
    return "it is PEM, but not a private key"
