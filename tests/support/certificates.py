"""Certificates of an authority that only a test trusts."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def identity(folder: Path, *, host: str | None = None) -> ssl.SSLContext:
    """A server's key and certificate; the certificate is its own authority: `partner.pem`.

    It is made out for 127.0.0.1, or for *host* alone.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "partner")])
    made_out_for: x509.GeneralName = x509.IPAddress(IPv4Address("127.0.0.1"))
    if host is not None:
        made_out_for = x509.DNSName(host)
    today = datetime(2026, 11, 20, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=3650))
        .not_valid_after(today + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([made_out_for]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    (folder / "partner.pem").write_bytes(certificate.public_bytes(encoding))
    (folder / "partner.key").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "partner.pem", folder / "partner.key")
    return context
