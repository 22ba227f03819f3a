"""The partners as delivery knows them: secrets decrypted once, and what cannot be sent reported."""

from dataclasses import replace

from cryptography.fernet import Fernet
from pydantic import SecretStr

from models.platform.encryption import Vault
from tests.support.sample_notice import PARTNER
from worker.delivery.http.exchange import HttpResponse, NoResponse
from worker.delivery.partners import Partners, Ready, Unusable
from worker.delivery.protocols.pam import PamAdapter

VAULT = Vault.with_keys([SecretStr(Fernet.generate_key().decode())])
ACME = replace(PARTNER, secret=VAULT.encrypt("the-first-secret"))


def partners_with(**adapters: PamAdapter) -> Partners:
    return Partners(VAULT, adapters, monotonic=lambda: 0.0)


def test_a_partner_that_changed_is_known_by_its_new_secret():
    known = partners_with(pam=PamAdapter())
    known.replace([ACME])
    first = known.get(ACME.id)

    known.replace([ACME])
    assert known.get(ACME.id) is first
    known.replace([replace(ACME, secret=VAULT.encrypt("the-second-secret"))])

    second = known.get(ACME.id)
    assert isinstance(first, Ready)
    assert isinstance(second, Ready)
    assert (first.secret, second.secret) == ("the-first-secret", "the-second-secret")


def test_a_protocol_that_is_not_spoken_here_is_named(caplog):
    """A newer release may have added it to the database."""
    known = partners_with(pam=PamAdapter())
    known.replace([replace(ACME, protocol="semaphore")])

    account = known.get(ACME.id)

    assert isinstance(account, Unusable)
    assert account.problem == "its protocol semaphore is not supported; supported: pam"
    assert [record.message for record in caplog.records] == ["partner_unusable"]


def test_a_partner_that_cannot_be_sent_to_is_reported_for_as_long_as_that_is_so(caplog):
    """The log reports the change once; an alert needs the current state."""
    foreign_secret = Vault.with_keys([SecretStr(Fernet.generate_key().decode())]).encrypt(
        "a-secret"
    )
    known = partners_with(pam=PamAdapter())
    undecryptable = replace(ACME, secret=foreign_secret)

    states = []
    for partners in ([undecryptable], [undecryptable], [undecryptable], [ACME], []):
        known.replace(partners)
        states.append(known.unusable)

    assert states == [*3 * [{ACME.code: True}], {ACME.code: False}, {}]
    assert len(caplog.records) == 1


def test_no_secret_is_in_a_repr():
    known = partners_with(pam=PamAdapter())
    known.replace([ACME])

    shown = repr(known.get(ACME.id)) + repr(ACME) + repr(vars(known))

    assert "the-first-secret" not in shown
    assert ACME.secret not in shown


def test_what_a_partner_repeats_of_our_secret_is_not_kept():
    known = partners_with(pam=PamAdapter())
    known.replace([ACME, replace(ACME, id=2, secret=VAULT.encrypt("ok"))])
    long, short = known.get(ACME.id), known.get(2)
    assert isinstance(long, Ready)
    assert isinstance(short, Ready)
    response = HttpResponse(400, b'{"message":"the-first-secret is wrong, ok"}')

    assert long.redacted(response) == HttpResponse(400, b'{"message":"(secret) is wrong, ok"}')
    assert short.redacted(response) == response, "two characters are in every response"
    assert long.redacted(NoResponse("timeout")) == NoResponse("timeout")
