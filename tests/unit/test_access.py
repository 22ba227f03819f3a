"""An access as a person gives it: what is kept, what may be shown, and each mistake's sentence."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from models.access.certificates import client_certificate
from models.access.check import access_mistakes
from models.access.document import open_access, seal_access
from models.access.facts import access_facts, describe_access, expiries, summarize_access
from models.access.given import GivenAccess
from models.access.values import NO_ACCESS, Access, Basic, ClientCredentials, Header
from models.platform.encryption import Vault
from tests.support.client_certificates import make_pair

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
PAIR = make_pair(NOW)
OTHER = make_pair(NOW, name="other")
CANARY = "canary-7Hq2"
FULL = Access(
    headers=(Header("X-Api-Key", f"{CANARY}-header"), Header("X-Client", "slipway", secret=False)),
    oauth=ClientCredentials(
        "https://login.example/token", "slipway", f"{CANARY}-oauth", scope="notify"
    ),
    certificate=client_certificate(PAIR.chain, PAIR.key),
    authorities=OTHER.chain,
)


def mistakes(access: Access) -> list[str]:
    return [sentence for _field, sentence in access_mistakes(access, now=NOW)]


def test_what_is_sealed_is_opened_as_it_was_and_shows_nothing():
    vault = Vault.with_keys([SecretStr(Fernet.generate_key().decode())])
    for access in (FULL, NO_ACCESS, Access(basic=Basic("us", CANARY)), Access(bearer=CANARY)):
        sealed = seal_access(access, vault)
        assert CANARY not in sealed
        assert open_access(sealed, vault) == access


def test_no_secret_is_shown():
    facts = access_facts(FULL)
    basic = Access(basic=Basic("us", CANARY), headers=FULL.headers)
    shown = f"{facts} {describe_access(facts)} {FULL!r} {basic!r} {access_facts(basic)}"

    assert CANARY not in shown
    assert "PRIVATE KEY" not in shown
    assert "('X-Client', 'slipway')" not in shown  # a label, not a tuple of ours
    assert ("header X-Client", "slipway") in describe_access(facts)
    assert summarize_access(facts) == "oauth, 2 headers, client certificate, CA bundle"
    assert {f"{CANARY}-header", f"{CANARY}-oauth"} <= set(FULL.secrets)


def test_what_expires_is_known_without_a_key():
    assert expiries(access_facts(FULL)) == [
        ("client certificate", NOW + timedelta(days=365)),
        ("CA bundle", NOW + timedelta(days=365)),
    ]


def test_whatever_is_allowed_is_accepted_together():
    assert mistakes(FULL) == []
    assert mistakes(NO_ACCESS) == []


@pytest.mark.parametrize(
    ("access", "sentence"),
    [
        (Access(headers=(Header("X-Key\r\nEvil", CANARY),)), "header 1: its name must be"),
        (Access(headers=(Header("", CANARY),)), "header 1: its name must be"),
        (Access(headers=(Header("X-Key", f"{CANARY}\r\nEvil: 1"),)), "printable ASCII on one line"),
        (Access(headers=(Header("X-Key", ""),)), "its value must be 1 to"),
        (Access(headers=(Header("X-Key", "x" * 9000),)), "its value must be 1 to"),
        (Access(headers=(Header("host", CANARY),)), "header host: Slipway or HTTP sets it"),
        (Access(headers=(Header("Content-Type", CANARY),)), "Slipway or HTTP sets it"),
        (Access(headers=(Header("Signature", CANARY),)), "Slipway or HTTP sets it"),
        (Access(headers=(Header("Traceparent", CANARY),)), "Slipway or HTTP sets it"),
        (Access(headers=(Header("X-A", "1"), Header("x-a", "2"))), "header x-a: it is given 2"),
        (Access(headers=(Header("X", "1"),) * 65), "there are 65 headers; at most 64"),
        (
            Access(headers=(Header("Authorization", CANARY),), bearer=CANARY),
            "Bearer sets it already",
        ),
        (Access(basic=Basic("a", "b"), bearer=CANARY), "Basic and Bearer exclude each other"),
        (Access(basic=Basic("a:b", CANARY)), "without a colon"),
        (Access(basic=Basic("a", "")), "the password must be printable"),
        (Access(bearer=f"{CANARY} x"), "the token must be printable ASCII without spaces"),
        (Access(oauth=ClientCredentials("https://a.example", "", CANARY)), "OAuth: client_id"),
        (replace(FULL, certificate=client_certificate(OTHER.chain, PAIR.key)), "do not belong"),
        (
            Access(
                certificate=client_certificate(
                    (old := make_pair(NOW, lasting=timedelta(days=-1))).chain, old.key
                )
            ),
            "expired at 2026-11-19T10:00:00Z",
        ),
        (
            Access(
                certificate=client_certificate(
                    (new := make_pair(NOW + timedelta(days=400))).chain, new.key
                )
            ),
            "is not valid before 2026-12-25",
        ),
        (
            Access(certificate=client_certificate(PAIR.chain + OTHER.chain, PAIR.key)),
            "CN=other did not issue CN=slipway",
        ),
        (Access(certificate=client_certificate("hello", PAIR.key)), "it is not PEM"),
        (
            Access(certificate=client_certificate(PAIR.key, PAIR.key)),
            "the client certificate holds a private key; take it out",
        ),
        (
            Access(certificate=client_certificate(PAIR.chain + PAIR.key, PAIR.key)),
            "the client certificate holds a private key; take it out",
        ),
        (Access(authorities=PAIR.key), "the CA bundle holds a private key"),
        (Access(authorities=PAIR.chain + PAIR.key), "the CA bundle holds a private key"),
        (Access(authorities="hello"), "it is not PEM"),
        (
            Access(authorities=make_pair(NOW, lasting=timedelta(days=-1)).chain),
            "the CA bundle has expired",
        ),
    ],
)  # fmt: skip
def test_a_mistake_says_what_to_change_and_no_secret(access, sentence):
    refusals = mistakes(access)

    assert len(refusals) == 1, refusals
    assert sentence in refusals[0]
    assert CANARY not in refusals[0]
    assert "\r" not in refusals[0]


def test_a_key_may_have_a_passphrase_and_is_kept_without_it():
    given = client_certificate(PAIR.chain, PAIR.encrypted_key("open"), passphrase="open")

    assert given == client_certificate(PAIR.chain, PAIR.key)
    assert "ENCRYPTED" not in given.key


@pytest.mark.parametrize(
    ("key", "passphrase", "sentence"),
    [
        (PAIR.encrypted_key("open"), None, "it is encrypted: give its passphrase"),
        (PAIR.encrypted_key("open"), "shut", "the passphrase does not fit"),
        (PAIR.key, "open", "it has no passphrase"),
        (PAIR.chain, None, "it is a certificate"),
        ("hello", None, "it is not PEM"),
    ],
    ids=["no passphrase", "wrong passphrase", "needless passphrase", "certificate", "no PEM"],
)
def test_a_key_that_cannot_be_read_is_a_sentence(key, passphrase, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        client_certificate(PAIR.chain, key, passphrase=passphrase)
    assert "PRIVATE KEY-----\n" not in str(refusal.value)


def test_what_a_program_gives_becomes_the_same_values():
    given = GivenAccess.model_validate(
        {
            "headers": [
                {"name": "X-Api-Key", "value": f"{CANARY}-header"},
                {"name": "X-Client", "value": "slipway", "secret": False},
            ],
            "oauth": {
                "token_url": "https://login.example/token",
                "client_id": "slipway",
                "client_secret": f"{CANARY}-oauth",
                "scope": "notify",
            },
            "certificate": {"chain": PAIR.chain, "key": PAIR.key},
            "authorities": OTHER.chain,
        }
    )

    assert given.access() == FULL
    assert CANARY not in repr(given)
