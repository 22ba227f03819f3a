"""PEM as people have it: what stands around certificates does no harm, or is named."""

from codecs import BOM_UTF8
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from models.access.certificates import authorities_problems, client_certificate
from models.access.given import GivenAccess
from models.access.pem import pem_text, plain_certificates
from models.access.values import Access
from tests.support.client_certificates import make_pair

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
ONE, TWO = make_pair(NOW, name="one"), make_pair(NOW, name="two")
BOTH = ONE.chain + TWO.chain
COMMENTS = f"# Autorité\nsubject=CN=one\n{ONE.chain}\nBag Attributes\n{TWO.chain}the end"
DER = x509.load_pem_x509_certificate(ONE.chain.encode()).public_bytes(serialization.Encoding.DER)


def block(label: str, pem: str = ONE.chain) -> str:
    return pem.replace("CERTIFICATE", label)


def revocation_list() -> str:
    issuer = x509.load_pem_x509_certificate(ONE.chain.encode()).subject
    builder = x509.CertificateRevocationListBuilder(issuer, NOW, NOW)
    signed = builder.sign(ONE.private, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    "content",
    [
        BOTH.encode(),
        BOM_UTF8 + BOTH.encode(),
        BOTH.replace("\n", "\r\n").encode(),
        BOTH.encode("utf-16"),
        COMMENTS.encode(),
        COMMENTS.encode("latin-1"),
        block("X509 CERTIFICATE", BOTH).encode(),
        BOTH.replace("\n", "\n  ").encode(),
    ],
    ids=["plain", "BOM", "CRLF", "UTF-16", "comments", "Latin-1", "X509", "indented"],
)
def test_what_stands_around_certificates_is_left_out_of_what_is_kept(content):
    text = pem_text(content)
    given = GivenAccess(authorities=text)

    assert plain_certificates(text) == BOTH
    assert given.access() == Access(authorities=BOTH)
    assert client_certificate(text, ONE.key).chain == BOTH
    assert list(authorities_problems(text, now=NOW)) == []


@pytest.mark.parametrize(
    ("pem", "sentence"),
    [
        ("", "is empty; it must hold certificates (PEM)"),
        (" \r\n", "is empty; it must hold certificates (PEM)"),
        ("MIIBszCCAVmg", "it is not PEM, which begins with -----BEGIN"),
        (BOTH + ONE.key, "holds a private key; take it out: only certificates belong there"),
        (
            BOTH + ONE.encrypted_key("x"),
            "holds a private key; take it out: only certificates belong there",
        ),
        (BOTH + block("TRUSTED CERTIFICATE"), "convert it: openssl x509 -in FILE"),
        (block("TRUSTED CERTIFICATE"), "convert it: openssl x509 -in FILE"),
        (BOTH + revocation_list(), "a revocation list (X509 CRL), which would not be checked"),
        (block("PKCS7"), "openssl pkcs7 -print_certs -in FILE"),
        (block("CERTIFICATE REQUEST"), "a request for a certificate, not the certificate"),
        (BOTH + block("EC PARAMETERS"), "holds a block EC PARAMETERS; take it out"),
        (BOTH + ONE.chain[:200], "certificate 3 of 3 is damaged; copy it again"),
        (ONE.chain.replace("M", "!", 1) + TWO.chain, "certificate 1 of 2 is damaged"),
    ],
    ids=["empty", "blank", "bare Base64", "key", "encrypted key", "trusted beside", "trusted",
         "revocation list", "PKCS7", "request", "parameters", "cut off", "damaged"],
)  # fmt: skip
def test_what_does_not_belong_there_is_named_with_what_to_do(pem, sentence):
    (problem,) = authorities_problems(pem, now=NOW)

    assert problem.startswith("the CA bundle ")
    assert sentence in problem
    assert not {line for line in ONE.key.splitlines()[1:-1] if line in problem}
    assert GivenAccess(authorities=pem).access().authorities == pem, "shown as it was given"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (DER, "is binary (DER), not PEM; convert it: openssl x509 -inform der"),
    ],
    ids=["empty", "blank", "DER"],
)
def test_a_file_that_is_no_text_is_named(content, sentence):
    with pytest.raises(ValueError, match=r"^is ") as refusal:
        pem_text(content)
    assert sentence in str(refusal.value)


def test_a_key_may_stand_beside_its_certificate_in_its_own_file():
    assert client_certificate(ONE.chain, ONE.chain + ONE.key).key == (
        client_certificate(ONE.chain, ONE.key).key
    )
