"""Reads PEM as people have it: with comments, Windows line ends, a byte order mark.

What is kept is the blocks alone, written again: libcurl does not find a block behind a byte order
mark, and takes what Slipway does not check. No sentence holds any part of a key.
"""

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

_BEGIN: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,60})-----")
_CERTIFICATE: Final = re.compile(
    r"-----BEGIN (?:X509 )?CERTIFICATE-----.*?-----END (?:X509 )?CERTIFICATE-----", re.DOTALL
)
_LABELS: Final = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})
_PRIVATE: Final = "PRIVATE KEY"
_DER: Final = b"\x30"  # how a certificate, a key and a PKCS#12 file begin in binary
_WHOLE: Final = "from its -----BEGIN CERTIFICATE----- to its -----END CERTIFICATE-----"
_FOREIGN: Final = {
    "TRUSTED CERTIFICATE": (
        "holds a TRUSTED CERTIFICATE, a form of OpenSSL's own; convert it: openssl x509 -in FILE"
    ),
    "X509 CRL": "holds a revocation list (X509 CRL), which would not be checked; take it out",
    "PKCS7": "holds PKCS #7; convert it: openssl pkcs7 -print_certs -in FILE",
    "CERTIFICATE REQUEST": "holds a request for a certificate, not the certificate",
    "NEW CERTIFICATE REQUEST": "holds a request for a certificate, not the certificate",
}


def pem_text(content: bytes) -> str:
    """Return the text of a PEM file. Raises ValueError, with the end of a sentence, if it is none.

    Comments may be in any encoding.
    """
    if not content.strip():
        raise ValueError("is empty")
    if content.startswith(_DER):
        raise ValueError(
            "is binary (DER), not PEM; convert it: openssl x509 -inform der -in FILE for a"
            " certificate, openssl pkey -inform der -in FILE for a key, openssl pkcs12 -in FILE for"
            " a .p12 or .pfx"
        )
    is_wide = content.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    return content.decode("utf-16" if is_wide else "utf-8-sig", errors="replace")


def read_certificates(pem: str) -> Sequence[x509.Certificate]:
    """Read one or more certificates and nothing else.

    Raises ValueError, with the end of a sentence: what else there is, and what to change.
    """
    if not pem.strip():
        raise ValueError("is empty; it must hold certificates (PEM)")
    labels = _BEGIN.findall(pem)
    if any(_PRIVATE in label for label in labels):
        raise ValueError(
            f"holds a private key; take it out: only certificates belong there, each {_WHOLE}"
        )
    for label in labels:
        if label not in _LABELS:
            raise ValueError(
                _FOREIGN.get(
                    label, f"holds a block {label}; take it out: only certificates belong there"
                )
            )
    if not labels:
        raise ValueError("cannot be read: it is not PEM, which begins with -----BEGIN")
    blocks = _CERTIFICATE.findall(pem)
    certificates = []
    for number, block in enumerate(blocks, start=1):
        try:
            certificates += x509.load_pem_x509_certificates(block.encode())
        except ValueError:
            raise ValueError(_damaged(number, len(labels))) from None
    if len(certificates) < len(labels):
        raise ValueError(_damaged(len(labels), len(labels)))
    return certificates


def plain_certificates(pem: str) -> str:
    """Return the certificates in *pem* without what stands around them; as it is if that fails."""
    try:
        return write_certificates(read_certificates(pem))
    except ValueError:
        return pem  # the check says what is wrong


def certificate_blocks(pem: str) -> str:
    """Return the blocks of certificates in a file that may hold their key, too.

    As it is if there is none: then `read_certificates` says what is wrong.
    """
    blocks = _CERTIFICATE.findall(pem)
    return "".join(f"{block}\n" for block in blocks) or pem


def write_certificates(certificates: Iterable[x509.Certificate]) -> str:
    """Return *certificates* as PEM."""
    encoding = serialization.Encoding.PEM
    return "".join(each.public_bytes(encoding).decode() for each in certificates)


def _damaged(number: int, count: int) -> str:
    return f"cannot be read: certificate {number} of {count} is damaged; copy it again, {_WHOLE}"
