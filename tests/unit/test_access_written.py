"""An access as a person types it into the console: read as meant, or refused without its words."""

from datetime import UTC, datetime

import pytest

from models.access.values import Access, Basic, ClientCertificate, ClientCredentials, Header
from models.access.written import AccessUnreadable, read_written
from tests.support.client_certificates import make_pair

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
PAIR = make_pair(NOW)
CANARY = "canary9Kx4"


def indented(pem: str) -> str:
    return pem.replace("\n", "\r\n    ")


def test_every_way_is_read_with_what_a_browser_makes_of_the_lines():
    key = PAIR.encrypted_key("open sesame")
    access = read_written(
        f"headers:\r\n  - {{name: X-Api-Key, value: '{CANARY} #1'}}\r\n"
        "  - {name: X-Tenant, value: t-7, secret: false} # shown\r\n"
        "oauth:\r\n  token_url: https://a.example/token\r\n  client_id: us # theirs\r\n"
        f"  client_secret: {CANARY}#2\r\n  in_body: true\r\n"
        f"certificate:\r\n  chain: |\r\n    {indented(PAIR.chain)}\r\n"
        f"  key: |\r\n    {indented(key)}\r\n  passphrase: open sesame\r\n"
        f"authorities: |\r\n    {indented(PAIR.chain)}\r\n"
    )

    assert isinstance(access.certificate, ClientCertificate)
    assert access == Access(
        headers=(Header("X-Api-Key", f"{CANARY} #1"), Header("X-Tenant", "t-7", secret=False)),
        oauth=ClientCredentials("https://a.example/token", "us", f"{CANARY}#2", in_body=True),
        certificate=ClientCertificate(PAIR.chain, access.certificate.key),
        authorities=PAIR.chain,
    )


@pytest.mark.parametrize("password", ["12345678", "0123", "yes", "null", "2026-11-20", "1e3", "~"])
def test_a_password_is_a_text_whatever_it_looks_like(password):
    assert read_written(f"basic: {{user: us, password: {password}}}").basic == Basic("us", password)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "it must be a mapping"),
        (CANARY, "it must be a mapping"),
        (f"bearer: @{CANARY}", "line 1: this cannot be read as YAML; put a text"),
        (f"basic:\n  user: us\n  password: *{CANARY}", "line 3: this cannot be read as YAML"),
        (f"bearer: a: {CANARY}", "line 1: this cannot be read as YAML"),
        (f"bearer: '{CANARY}", "this cannot be read as YAML"),
        (f"bearer: {CANARY}\x07", "it is not YAML"),
        ("[" * 5000, "it is not YAML"),
        (f"bearer: {CANARY}\nbearer: x", "this cannot be read as YAML"),
        (f"? [{CANARY}]\n: x", "this cannot be read as YAML"),
        (f"bearer: {CANARY} #and-more", "line 1: what stands behind # is a comment; if it belongs"),
        (f"bearer:\n  - {CANARY}", "bearer: Input should be a valid string"),
        (f"basic: us:{CANARY}", "basic: Input should be a valid dictionary"),
        (f"basic: {{user: us, {CANARY}}}", "basic: a field is not known; known are password, user"),
        (f"basic: {{user: us, pasword: {CANARY}}}", "basic: a field is not known; did you mean"),
        (f"headers: {{X-Key: {CANARY}}}", "headers: Input should be a valid list"),
        (f"headers:\n  - {{X-Key: {CANARY}}}", "headers 1: a field is not known; known are name"),
        (f"{CANARY}: x", "the access: a field is not known; known are authorities, basic"),
        (f"bearer_file: {CANARY}", "bearer_file names a file, which only the command line reads"),
        (f"basic: {{user: us, password_file: {CANARY}}}", "write password with the text itself"),
        (f"headers: [{{name: a, value_file: {CANARY}}}]", "value_file names a file"),
        (f"certificate: {{chain: x, key: {CANARY}}}", "key cannot be read: it is not PEM"),
    ],
    ids=["empty", "word", "sign", "alias", "colon", "open quote", "control", "deep", "twice",
         "no text for a name", "comment", "list", "no mapping", "stray word", "typo",
         "headers as a mapping", "header's name as a field", "unknown", "file", "file below",
         "file in a list", "no key"],
)  # fmt: skip
def test_what_cannot_be_read_is_named_without_its_words(text, sentence):
    with pytest.raises(AccessUnreadable) as refusal:
        read_written(text)

    assert sentence in str(refusal.value)
    assert CANARY not in str(refusal.value)
    assert refusal.value.__cause__ is None
