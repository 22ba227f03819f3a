"""Lottery messages become events (contracts 3.2, contracts 3.4, contracts 5.5)."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.events.decode import read
from models.events.event import Event
from models.platform.money import MINOR_DIGITS
from models.vocabulary import Action
from tests.support.lottery import (
    BOUGHT,
    SAMPLE,
    STARRED,
    TICKET,
    accepted,
    bet,
    lottery_entry,
    refused,
    settlement,
    with_amount,
    wrong,
)


def test_a_bet_opens_the_ticket_with_what_a_partner_needs_to_know():
    event = accepted(bet())

    assert (event.action, event.operator, event.ticket_id) == (Action.OPEN, "acme", TICKET)
    assert event.data == {
        "operator": "acme",
        "ticket_id": TICKET,
        "player_id": "52530",
        "price": 400,
        "currency": "EUR",
        "game": "Mega Millions",
        "game_id": "1",
        "lottery": json.loads(bet()),
    }
    assert event.occurred_at == datetime.fromisoformat(BOUGHT)
    assert event.draw == "1"


def test_the_specification_s_sample_is_a_win_of_2400_euros():
    """Its hour has one digit, as printed; its second line won."""
    event = accepted(SAMPLE)

    assert event.action is Action.WIN
    assert event.data == {
        "operator": "acme",
        "ticket_id": "2019020103308257480",
        "net_payout": 240_000,
        "correction": True,
        "lottery": json.loads(SAMPLE),
    }
    assert event.occurred_at == datetime(2015, 3, 2, 2, 27, 58, 721607, tzinfo=UTC)
    assert event.order_time == event.occurred_at


def test_a_settlement_without_a_winning_line_is_a_loss_whatever_its_amount():
    """Contracts 3.4: some send the purchase amount there."""
    event = accepted(settlement(won=False, amount=4.0))

    assert event.action is Action.LOST
    assert event.data.keys() == {"operator", "ticket_id", "correction", "lottery"}
    assert event.is_correction


def test_a_settlement_without_lines_is_a_loss():
    assert accepted(settlement(lines=[])).action is Action.LOST


def test_one_winning_line_among_many_wins():
    lines = [{"line_id": n, "matched_numbers": [], "is_winning_line": n == 3} for n in range(5)]

    assert accepted(settlement(lines=lines)).action is Action.WIN


def test_a_free_win_pays_nothing():
    assert accepted(settlement(amount=0)).data["net_payout"] == 0


@pytest.mark.parametrize(
    ("written", "currency", "cents"),
    [
        ("2400", "EUR", 240_000),
        ("0.07", "EUR", 7),
        ("1.10", "EUR", 110),
        ("4.350", "EUR", 435),
        ("2.4e3", "EUR", 240_000),
        ("1500", "JPY", 1500),
        ("1500.0", "JPY", 1500),
        ("1.234", "KWD", 1234),
        ("9007199254740.93", "EUR", 900_719_925_474_093),
        ("10000000000000.00", "EUR", 10**15),
    ],
)
def test_amounts_become_the_currency_s_minor_unit_exactly(written, currency, cents):
    assert accepted(with_amount(written, currency)).data["net_payout"] == cents


@given(st.integers(0, 10**15), st.sampled_from(sorted(MINOR_DIGITS)))
def test_no_amount_passes_through_a_float(cents, currency):
    decimals = MINOR_DIGITS[currency]
    digits = str(cents).rjust(decimals + 1, "0")
    written = f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits

    assert accepted(with_amount(written, currency)).data["net_payout"] == cents


@pytest.mark.parametrize(
    ("written", "currency", "message"),
    [
        ("1.001", "EUR", "amount: EUR has 2 decimals and the amount more; it is not rounded"),
        ("0.1000000000000000055511151231257827", "EUR", "amount: EUR has 2 decimals"),
        ("0.5", "JPY", "amount: JPY has 0 decimals and the amount more"),
        ("10000000000000.01", "EUR", "amount: at most 1000000000000000 in the currency's minor"),
        ("1e300", "EUR", "amount: an amount in EUR is larger than"),
        ("1e400", "EUR", "amount: must be a number from 0, in units of the currency (was inf)"),
        ("9" * 50, "EUR", "amount: not an amount of money: infinite, not a number, or far too"),
        ("-1", "EUR", "amount: must be a number from 0, in units of the currency (was -1)"),
        ("NaN", "EUR", "amount: must be a number from 0"),
        ('"4.0"', "EUR", "amount: must be a number from 0, in units of the currency (was '4.0')"),
        ("true", "EUR", "amount: must be a number from 0"),
        ("1", "EURO", "currency: 'EURO' is not an active currency of ISO 4217; write a code"),
        ("1", "", "currency: '' is not an active currency"),
        ("1.5", "XAU", "currency: 'XAU' is not an active currency"),
    ],
)
def test_an_amount_that_cannot_be_counted_says_why(written, currency, message):
    assert message in refused(with_amount(written, currency)).message


# --- one statement, one event ---


def test_a_repeated_delivery_is_the_same_event_however_it_is_written():
    compact = json.dumps(json.loads(SAMPLE), separators=(",", ":")).encode()
    strict = SAMPLE.replace(b"T8:27", b"T08:27")

    assert {accepted(raw).event_id for raw in (SAMPLE, compact, strict)} == {
        accepted(SAMPLE).event_id
    }


@pytest.mark.parametrize(
    "other",
    [
        settlement(won=False),
        settlement(amount=24.51),
        settlement(timestamp="2024-11-20T09:00:01+00:00"),
        settlement(draw_id="2"),
        settlement(currency="USD"),
        bet(timestamp="2024-11-20T09:00:00+00:00", amount=24.5),
    ],
)
def test_another_statement_is_another_event(other):
    assert accepted(settlement()).event_id != accepted(other).event_id


@settings(max_examples=300)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from([*STARRED, "type", "meta", "draw_numbers", "stranger"]),
)
def test_nothing_in_a_field_is_more_than_refused(value, field):
    raw = json.dumps({**json.loads(settlement()), field: value}).encode()

    result = read(lottery_entry(raw))

    assert isinstance(result, Event) == (wrong(raw) is None)
