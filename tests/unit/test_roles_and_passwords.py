"""Roles include each other, names are compared without case, and passwords take bounded memory."""

from threading import Event, Thread
from typing import Any, Literal

import pytest
from argon2 import PasswordHasher

from models.users import passwords
from models.users.errors import UserInvalid
from models.users.names import is_name, name_key
from models.users.passwords import (
    ADMITTED,
    AT_ONCE,
    WAITING_MAX,
    TooManySignIns,
    check_password,
    hash_password,
    needs_rehash,
    verify_password,
)
from models.vocabulary import Role
from tests.support.wait import eventually

PASSWORD = "correct horse battery staple"
PARAMETERS: dict[str, Any] = {"time_cost": 2, "memory_cost": 19456, "parallelism": 1}


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.VIEWER, [Role.VIEWER]),
        (Role.SUPPORT, [Role.VIEWER, Role.SUPPORT]),
        (Role.OPERATIONS, [Role.VIEWER, Role.SUPPORT, Role.OPERATIONS]),
    ],
)
def test_a_role_allows_what_the_ones_before_it_allow(role, allowed):
    assert [needed for needed in Role if role.allows(needed)] == allowed


@pytest.mark.parametrize("name", ["a", "Anna Berg", "anna@example.org", "Ünal", "x" * 64])
def test_a_name_may_be_what_people_are_called(name):
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", "x" * 65, " anna", "anna ", "an\nna", "an\x00na", "an\u202ena", "an\ud800na"]
)
def test_a_name_holds_nothing_that_hides_or_breaks(name):
    assert not is_name(name)


@pytest.mark.parametrize("written", ["anna", "ANNA", "\N{FULLWIDTH LATIN SMALL LETTER A}nna"])
def test_names_are_compared_without_case_and_width(written):
    assert name_key(written) == name_key("Anna")


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("short", "has 5 characters"),
        ("x" * 1001, "has 1,001 characters"),
        ("MARIA-MAGDALENA", "must not be the user's name"),
        ("\ud800 twelve characters", "no valid Unicode"),
    ],
)
def test_a_bad_password_is_refused_without_being_shown(password, message):
    with pytest.raises(UserInvalid, match=message) as refusal:
        check_password(password, name="Maria-Magdalena")

    assert password not in str(refusal.value)


@pytest.mark.parametrize("password", ["x" * 12, "y" * 1000, "\U0001f40e" * 12])
def test_twelve_to_a_thousand_characters_are_accepted(password):
    check_password(password, name="anna")

    assert verify_password(password, hash_password(password))


def test_a_password_verifies_however_its_characters_are_composed():
    composed, decomposed = "caf\u00e9 at midnight", "cafe\u0301 at midnight"

    assert verify_password(decomposed, hash_password(composed))


@pytest.mark.parametrize("wrong", ["", PASSWORD + " ", PASSWORD * 100, "\ud800"])
def test_another_password_does_not_verify(wrong):
    assert not verify_password(wrong, hash_password(PASSWORD))


def test_nothing_verifies_without_a_hash_not_even_the_password_of_the_dummy():
    assert not verify_password(PASSWORD, None)
    assert not verify_password("a password that nobody has", None)
    assert not verify_password(PASSWORD, "damaged")


def test_an_unknown_name_costs_the_same_verification(monkeypatch):
    """Counted, not timed: one verification each, of hashes with the same parameters."""
    verified = []

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - the library's name
            assert isinstance(hash, str)
            verified.append(hash.rsplit("$", 2)[0])
            return super().verify(hash, password)

    known = hash_password(PASSWORD)
    with monkeypatch.context() as earlier:  # the hash for unknown names was made with it
        earlier.setattr(
            passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        )
        verify_password("wrong", None)
    monkeypatch.setattr(passwords, "HASHER", Counting(**PARAMETERS))

    for stored in (known, None):
        verify_password("wrong", stored)
    verify_password("\ud800", known)

    assert len(verified) == 3
    assert len(set(verified)) == 1


def test_the_parameters_are_those_that_were_chosen_and_older_ones_are_renewed():
    weaker = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1)

    assert hash_password(PASSWORD).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert needs_rehash(weaker.hash(PASSWORD))
    assert not needs_rehash(hash_password(PASSWORD))


def test_a_flood_of_sign_ins_hashes_two_at_once_and_refuses_what_cannot_wait(monkeypatch):
    go_on, hashing = Event(), []

    class Slow(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - the library's name
            hashing.append(1)
            assert go_on.wait(60)
            return super().verify(hash, password)

    stored = hash_password(PASSWORD)
    monkeypatch.setattr(passwords, "HASHER", Slow(**PARAMETERS))
    answers: list[bool] = []
    threads = [
        Thread(target=lambda: answers.append(sooner_or_later(stored)))
        for _ in range(AT_ONCE + WAITING_MAX)
    ]

    try:
        for thread in threads:
            thread.start()
        eventually(lambda: len(hashing) == AT_ONCE and not a_place_is_free())

        with pytest.raises(TooManySignIns, match="try again"):
            verify_password(PASSWORD, stored)
        assert len(hashing) == AT_ONCE
    finally:
        go_on.set()
        for thread in threads:
            thread.join()
    assert answers == [True] * (AT_ONCE + WAITING_MAX)
    assert verify_password(PASSWORD, stored)


def sooner_or_later(stored: str) -> bool:
    """Verify as soon as there is a place, which the test itself may take for a moment."""
    while True:
        try:
            return verify_password(PASSWORD, stored)
        except TooManySignIns:
            continue


def a_place_is_free() -> bool:
    free = ADMITTED.acquire(blocking=False)
    if free:
        ADMITTED.release()
    return free
