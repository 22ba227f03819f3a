"""Client certificates for an operator's access, valid around *now*, as PEM texts."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

YEAR = timedelta(days=365)
PEM = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    chain: str
    key: str
    private: ec.EllipticCurvePrivateKey

    def encrypted_key(self, passphrase: str) -> str:
        form = serialization.PrivateFormat.PKCS8
        cipher = serialization.BestAvailableEncryption(passphrase.encode())
        return self.private.private_bytes(PEM, form, cipher).decode()


def make_pair(now: datetime, *, name: str = "slipway", lasting: timedelta = YEAR) -> Pair:
    """A self-signed certificate from a year before *now* until *lasting* after it."""
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - YEAR)
        .not_valid_after(now + lasting)
        .sign(private, hashes.SHA256())
    )
    key = private.private_bytes(
        PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return Pair(certificate.public_bytes(PEM).decode(), key.decode(), private)
