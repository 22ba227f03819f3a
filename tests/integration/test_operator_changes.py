"""Changing what holds for an operator, and holding its notices."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from models.operators import (
    NewOperator,
    OperatorInvalid,
    OperatorNotFound,
    OperatorPatch,
    add_operator,
    change_operator,
    disable_operator,
    enable_operator,
    show_operator,
)
from models.operators.interventions import Person
from models.operators.partners import require_partner
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault

ANNA = Person("anna", "they asked for it")
HOUR = timedelta(hours=1)
ACME = NewOperator(
    code="acme", url="https://pam.acme.example/hook", protocol="pam", secret="secret-of-acme"
)


@pytest.fixture
def vault() -> Vault:
    return Vault.with_keys([SecretStr(Fernet.generate_key().decode())])


@pytest.fixture
def acme(engine, vault) -> str:
    with engine.begin() as connection:
        add_operator(connection, ACME, vault=vault, person=ANNA)
    return ACME.code


def test_what_is_named_changes_and_who_did_it_is_kept(engine, acme):
    with engine.begin() as connection:
        changed = change_operator(
            connection,
            acme,
            {"in_flight": 64, "rate": 5.0, "close_delay": 2 * HOUR, "timezone": "UTC"},
            person=ANNA,
        )
        page = show_operator(connection, acme)

    line = page.operator
    assert (line.in_flight, line.rate, line.close_delay) == (64, 5.0, 2 * HOUR)
    assert changed.before == {"close_delay": timedelta(hours=24), "rate": None, "in_flight": 32}
    assert (line.url, line.timezone) == (ACME.url, "UTC")
    change = page.changes[0]
    assert (change.who, change.why, change.did) == ("anna", ANNA.why, "operator_changed")
    assert change.facts == {
        "close_delay": {"from": "24h", "to": "2h"},
        "rate": {"from": None, "to": 5.0},
        "in_flight": {"from": 32, "to": 64},
    }


def test_what_is_so_already_is_no_change(engine, acme):
    with engine.begin() as connection:
        changed = change_operator(connection, acme, {"in_flight": 32}, person=ANNA)
        changes = show_operator(connection, acme).changes

    assert changed.before == {}
    assert len(changes) == 1


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"url": "ftp://acme.example"}, "must be http:// or https://"),
        ({"in_flight": 0}, "from 1 to 10,000"),
        ({"rate": 0.0}, "rate must be above 0"),
        ({"close_delay": timedelta(days=400)}, "close delay must be from 0s"),
        ({"timezone": "Mars/Olympus"}, "is not known"),
        ({"lottery_ticket": "draw"}, "must be one of"),
        ({"agent": "a b"}, "without spaces"),
        ({"announces_tickets": False}, "always announces its tickets"),
    ],
)
def test_a_change_is_checked_as_a_new_operator_is(engine, vault, patch, message):
    wallet = replace(ACME, protocol="seamless", agent="slipway")
    with engine.begin() as connection:
        add_operator(connection, wallet, vault=vault, person=ANNA)

    with pytest.raises(OperatorInvalid, match=message), engine.begin() as connection:
        change_operator(connection, "acme", patch, person=ANNA)


def test_an_unknown_operator_is_named_with_the_nearest_one(engine, acme):
    message = re.escape("there is no operator 'acne' (did you mean 'acme'?)")
    with pytest.raises(OperatorNotFound, match=message), engine.begin() as connection:
        change_operator(connection, "acne", {"rate": 1.0}, person=ANNA)


def test_holding_and_letting_go_are_kept_once(engine, acme, clock):
    with engine.begin() as connection:
        turns = [
            disable_operator(connection, acme, now=clock.now(), person=ANNA),
            disable_operator(connection, acme, now=clock.now(), person=ANNA),
            enable_operator(connection, acme, now=clock.now(), person=ANNA),
            enable_operator(connection, acme, now=clock.now(), person=ANNA),
        ]
        changes = show_operator(connection, acme).changes

    assert turns == [True, False, True, False]
    assert [change.did for change in changes] == [
        "operator_enabled",
        "operator_disabled",
        "operator_added",
    ]


def test_own_terms_of_delivery_are_kept_shown_and_given_up_again(engine, acme):
    own: OperatorPatch = {
        "timeout": timedelta(seconds=30),
        "retry_schedule": "5s,1m",
        "retry_limit": timedelta(hours=2),
        "taken": "2xx,409",
        "create_taken": "2xx",
        "success_json": True,
        "success_text": "accepted",
        "wants": "ticket_win,ticket_rollback",
        "keep_bodies": timedelta(days=30),
        "pass_trace": True,
        "user_agent": "Acme/1",
    }
    with engine.begin() as connection:
        change_operator(connection, acme, own, person=ANNA)
        line = show_operator(connection, acme).operator
        partner = require_partner(connection, acme, now=DatabaseClock().now(connection))
        facts = show_operator(connection, acme).changes[0].facts
        defaults = {name: False if name in {"success_json", "pass_trace"} else None for name in own}
        back = change_operator(connection, acme, cast("OperatorPatch", defaults), person=ANNA)

    assert {name: getattr(line, name) for name in own} == own
    delivered_by = set(own) - {"wants", "keep_bodies"}
    facts_of_delivery = {name: getattr(partner, name) for name in delivered_by}
    assert facts_of_delivery == {name: value for name, value in own.items() if name in delivered_by}
    assert facts["timeout"] == {"from": None, "to": "30s"}
    assert facts["keep_bodies"] == {"from": None, "to": "30d"}
    assert back.before == own
