"""Exchanging an operator's secret, and the key that encrypts it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, text

from models.operators import (
    EncryptedSecrets,
    InterruptedRotation,
    NewOperator,
    OperatorInvalid,
    add_operator,
    forget_old_secrets,
    reencrypt_secrets,
    rotate_secret,
    show_operator,
    signing_secret,
    verifying_secrets,
)
from models.operators.interventions import Person
from models.operators.partners import enabled_partners, find_partner
from models.platform.encryption import DecryptionFailed, Vault
from tests.support.blind_watermark import Blind
from tests.support.manual_clock import ManualClock
from tests.support.plain_settings import plain_settings
from worker.sweep.round import Sweep

OLD, NEW, NEWER = "the-old-secret-of-acme", "the-new-secret-of-acme", "the-newer-secret-of-acme"
ANNA = Person("anna", "they asked for it")
HOUR = timedelta(hours=1)
ACME = NewOperator(code="acme", url="https://pam.acme.example/hook", protocol="pam", secret=OLD)
KEYS = [SecretStr(Fernet.generate_key().decode()) for _ in range(2)]


@pytest.fixture
def vault() -> Vault:
    return Vault.with_keys(KEYS[:1])


@pytest.fixture
def acme(engine, vault) -> str:
    with engine.begin() as connection:
        return add(connection, vault, ACME)


def add(connection: Connection, vault: Vault, new: NewOperator) -> str:
    add_operator(connection, new, vault=vault, person=ANNA)
    return new.code


def secrets(engine: Engine, code: str = "acme") -> EncryptedSecrets:
    with engine.begin() as connection:
        row = connection.execute(
            text("SELECT secret, next_secret, switch_at, forget_at FROM operator WHERE code = :c"),
            {"c": code},
        ).one()
    return EncryptedSecrets(*row)


class Exchange:
    """Exchanges secrets of `acme`, and shows which one signs and which ones verify."""

    def __init__(self, engine: Engine, vault: Vault, clock: ManualClock) -> None:
        self.engine, self.vault, self.clock = engine, vault, clock

    def __call__(
        self, secret: str, *, switch: timedelta = HOUR, forget: timedelta = 2 * HOUR
    ) -> InterruptedRotation | None:
        now = self.clock.now()
        with self.engine.begin() as connection:
            return rotate_secret(
                connection,
                "acme",
                secret,
                switch_at=now + switch,
                forget_at=now + forget,
                now=now,
                vault=self.vault,
                person=ANNA,
            )

    @property
    def signs(self) -> str:
        return signing_secret(secrets(self.engine), self.vault, self.clock.now())

    @property
    def verify(self) -> tuple[str, ...]:
        return verifying_secrets(secrets(self.engine), self.vault, self.clock.now())


@pytest.fixture
def exchange(engine, vault, clock, acme) -> Exchange:
    return Exchange(engine, vault, clock)


def test_the_old_secret_signs_until_the_switch_and_is_accepted_until_it_is_forgotten(
    exchange, clock
):
    assert (exchange.signs, exchange.verify) == (OLD, (OLD,))

    assert exchange(NEW) is None

    assert (exchange.signs, exchange.verify) == (OLD, (OLD, NEW))
    clock.advance(HOUR - timedelta(microseconds=1))
    assert exchange.signs == OLD
    clock.advance(timedelta(microseconds=1))
    assert (exchange.signs, exchange.verify) == (NEW, (NEW, OLD))
    clock.advance(HOUR)
    assert (exchange.signs, exchange.verify) == (NEW, (NEW,))


def test_delivery_signs_with_the_secret_of_the_moment(exchange, engine, vault, clock):
    exchange(NEW)
    now = clock.now()
    with engine.begin() as connection:
        (before,) = enabled_partners(connection, now=now)
        (after,) = enabled_partners(connection, now=now + HOUR)
        partner = find_partner(connection, "acme", now=now + HOUR)

    assert (vault.decrypt(before.secret), vault.decrypt(after.secret)) == (OLD, NEW)
    assert partner == after


def test_what_is_forgotten_is_deleted(exchange, engine, clock):
    exchange(NEW)
    with engine.begin() as connection:
        assert (
            forget_old_secrets(connection, now=clock.now() + 2 * HOUR - timedelta(seconds=1)) == 0
        )
        assert forget_old_secrets(connection, now=clock.now() + 2 * HOUR) == 1

    kept = secrets(engine)
    assert (kept.next_secret, kept.switch_at, kept.forget_at) == (None, None, None)
    assert (exchange.signs, exchange.verify) == (NEW, (NEW,))


def test_the_sweep_deletes_it_also_while_redis_is_unavailable(exchange, engine, clock):
    exchange(NEW)
    clock.advance(2 * HOUR)
    sweep = Sweep(
        transaction=engine.begin, clock=clock, watermark_source=Blind(), settings=plain_settings()
    )

    assert (sweep.round().secrets_forgotten, sweep.round().secrets_forgotten) == (1, 0)
    assert secrets(engine).next_secret is None


def test_a_secret_can_be_exchanged_at_once(exchange):
    exchange(NEW, switch=timedelta(0), forget=timedelta(0))

    assert (exchange.signs, exchange.verify) == (NEW, (NEW,))


def test_an_exchange_that_is_going_on_ends_with_the_next(exchange, clock):
    """An operator has two secrets at most, and the one that signs is never lost."""
    exchange(NEW)
    assert exchange(NEWER) is InterruptedRotation.NEVER_SIGNED
    assert exchange.verify == (OLD, NEWER)

    clock.advance(HOUR)
    assert exchange(NEW) is InterruptedRotation.OLD_FORGOTTEN
    assert (exchange.signs, exchange.verify) == (NEWER, (NEWER, NEW))

    clock.advance(2 * HOUR)
    assert exchange(OLD) is None
    assert exchange.verify == (NEW, OLD)


@pytest.mark.parametrize(
    ("secret", "moments", "message"),
    [
        (OLD, {}, "in use already"),
        ("", {}, "1 to 1000"),
        (NEW, {"switch": -HOUR}, "a moment in the past"),
        (NEW, {"switch": HOUR, "forget": timedelta(0)}, "must not be forgotten before"),
        (NEW, {"forget": timedelta(days=367)}, "within 366 days"),
        ("an-api-key-of-many-characters", {}, "a publisher's API key"),
    ],
)
def test_an_exchange_that_cannot_be_meant_is_refused(
    exchange, engine, vault, secret, moments, message
):
    other = replace(ACME, code="other", api_key="an-api-key-of-many-characters")
    with engine.begin() as connection:
        add(connection, vault, other)

    with pytest.raises(OperatorInvalid, match=message):
        exchange(secret, **moments)

    assert exchange.verify == (OLD,)


def test_a_secret_that_no_key_opens_can_be_replaced(exchange, engine):
    """That is what the error message advises."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE operator SET secret = 'damaged'"))

    exchange(NEW, switch=timedelta(0), forget=timedelta(0))

    assert exchange.signs == NEW


def test_after_resealing_the_old_key_can_be_dropped(engine, vault, clock, exchange):
    exchange(NEW)
    with engine.begin() as connection:
        add(connection, vault, replace(ACME, code="lost"))
        connection.execute(text("UPDATE operator SET secret = 'damaged' WHERE code = 'lost'"))
    both = Vault.with_keys([KEYS[1], KEYS[0]])
    only_new = Vault.with_keys([KEYS[1]])
    with pytest.raises(DecryptionFailed):
        verifying_secrets(secrets(engine), only_new, clock.now())

    with engine.begin() as connection:
        done = reencrypt_secrets(connection, vault=both, person=ANNA)

    assert verifying_secrets(secrets(engine), only_new, clock.now()) == (OLD, NEW)
    assert (done.operators, done.unopened) == (1, ("lost",))
    assert secrets(engine, "lost").secret == "damaged"


def test_no_secret_is_in_the_record_of_changes_or_a_repr(exchange, engine, vault):
    exchange(NEW)
    with engine.begin() as connection:
        reencrypt_secrets(connection, vault=vault, person=ANNA)
        page = show_operator(connection, "acme")
        dump = connection.execute(
            text("SELECT o::text || i::text FROM operator o, intervention i")
        ).scalars()
        everything = "".join(dump) + repr(page) + repr(secrets(engine)) + repr(exchange.vault)

    assert [change.did for change in page.changes] == ["secret_rotated", "operator_added"]
    assert set(page.changes[0].facts) == {"switch_at", "forget_at"}
    for secret in (OLD, NEW, *(key.get_secret_value() for key in KEYS)):
        assert secret not in everything
