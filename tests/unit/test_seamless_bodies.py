"""Calls to seamless wallets, byte for byte (contracts 2.2; the sample request)."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.lifecycle.ticket import NewNotice, TicketState
from models.notices.body import NoticeText, message
from models.notices.seamless import NO_ROLLBACK
from models.platform.money import MINOR_DIGITS, to_decimal_units
from models.vocabulary import Action
from tests.support.tickets import ROUND, SEAMLESS, ticket

AT = datetime(2019, 12, 11, 19, 57, 28, 431_999, tzinfo=UTC)

# The sample of the specification: its names in its order.
PAYOUT_FIELDS = (
    *("username", "agent", "game", "gameId", "roundId", "amount", "turnover", "currency"),
    *("transactionId", "timestamp", "isEndRound", "featureBuy"),
)
# The sister products' cancel, in AMBSlot's words (contracts 5.4).
CANCEL_FIELDS = (
    *("username", "agent", "game", "gameId", "roundId", "amount", "currency"),
    *("transactionId", "timestamp"),
)


def settled(
    action: Action, *, generation: int = 1, at: datetime = AT, **data: object
) -> NoticeText:
    """Return the call for a settlement of a round that was placed for 5.00 EUR."""
    return message(a_round(), NewNotice(action, generation, data, event_id="e", at=at))


def a_round(**facts: object) -> TicketState:
    return replace(ticket("open", SEAMLESS), details={**ROUND, **facts})


def fields(made: NoticeText) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(made.body)
    return document


def test_a_win_is_a_payout_like_the_sample():
    """Contracts 2.2, shape and order of the sample request; compact, as it will be signed."""
    state = a_round(currency="THB", price=25000, net_payout=5000, feature_buy=True)

    made = message(state, NewNotice(Action.WIN, 1, {}, event_id="e", at=AT))

    transaction = fields(made)["transactionId"]
    assert made.path == "/payout"
    assert made.impossible is None
    assert made.body == (
        '{"username":"member001","agent":"agentId","game":"Ghost House","gameId":"GH",'
        '"roundId":"1330556611374148608","amount":50,"turnover":250,"currency":"THB",'
        f'"transactionId":"{transaction}","timestamp":"2019-12-11T19:57:28.431",'
        '"isEndRound":true,"featureBuy":true}'
    )


def test_a_payout_has_the_fields_of_the_sample_in_its_order():
    assert tuple(fields(settled(Action.WIN))) == PAYOUT_FIELDS


def test_a_loss_is_sent_as_a_payout_of_nothing():
    """Contracts 4.1, *Lost bet is told too*: settle with amount 0."""
    made = settled(Action.LOST)

    assert made.path == "/payout"
    assert (fields(made)["amount"], fields(made)["turnover"]) == (0, 5)
    assert tuple(fields(made)) == PAYOUT_FIELDS


@pytest.mark.parametrize("action", [Action.REFUND, Action.VOID])
def test_what_gives_the_stake_back_is_a_cancel(action):
    """Contracts 2.2 and contracts 5.4."""
    made = settled(action)

    assert made.path == "/cancel"
    assert tuple(fields(made)) == CANCEL_FIELDS
    assert fields(made)["amount"] == 5


@pytest.mark.parametrize(
    ("net_payout", "path"), [(500, "/cancel"), (300, "/payout"), (0, "/payout")]
)
def test_a_void_that_pays_another_sum_is_a_payout(net_payout, path):
    made = settled(Action.VOID, net_payout=net_payout)

    assert made.path == path
    assert fields(made)["amount"] == net_payout / 100


def test_a_cash_out_brings_its_own_amount():
    """`net_payout` on `ticket_win`."""
    assert fields(settled(Action.WIN, net_payout=750))["amount"] == 7.5
    assert fields(settled(Action.WIN, net_payout=None))["amount"] == 12


def test_a_rollback_has_no_call():
    made = settled(Action.ROLLBACK)

    assert made == NoticeText("", "", NO_ROLLBACK)


@pytest.mark.parametrize(
    ("currency", "cents", "written"),
    [
        ("EUR", 500, "5"),
        ("EUR", 1050, "10.5"),
        ("EUR", 1055, "10.55"),
        ("EUR", 1, "0.01"),
        ("EUR", 0, "0"),
        ("EUR", 10**15, "10000000000000"),
        ("EUR", 10**15 - 1, "9999999999999.99"),
        ("JPY", 500, "500"),
        ("JPY", 0, "0"),
        ("JPY", 10**15, "1000000000000000"),
        ("KWD", 500, "0.5"),
        ("KWD", 1234, "1.234"),
        ("KWD", 1, "0.001"),
        ("CLF", 12345, "1.2345"),
        ("THB", 5000, "50"),
    ],
)
def test_amounts_are_exact_in_the_currency_s_units(currency, cents, written):
    """EUR 500 = 5.00, JPY 500 = 500 yen."""
    state = a_round(currency=currency, net_payout=cents)

    made = message(state, NewNotice(Action.WIN, 1, {}, event_id="e", at=AT))

    assert f'"amount":{written},' in made.body


@given(st.integers(0, 10**15), st.sampled_from(sorted(MINOR_DIGITS)))
def test_no_amount_passes_through_a_float(cents, currency):
    state = a_round(currency=currency, price=cents, net_payout=cents)

    made = message(state, NewNotice(Action.WIN, 1, {}, event_id="e", at=AT))

    (amount,) = re.findall(r'"amount":([0-9.]+),', made.body)
    assert amount == re.findall(r'"turnover":([0-9.]+),', made.body)[0]
    assert type(to_decimal_units(0, currency))(amount) == to_decimal_units(cents, currency)


# --- transactionId: what a settlement is, once and for all ----------------------------------------


def transaction(made: NoticeText) -> str:
    transaction_id: str = fields(made)["transactionId"]
    return transaction_id


def test_a_settlement_keeps_its_transaction_whatever_changes_around_it():
    first = settled(Action.WIN)

    assert transaction(first) == transaction(settled(Action.WIN))
    assert transaction(first) == transaction(settled(Action.WIN, net_payout=1, shop="12"))
    assert transaction(first) == transaction(settled(Action.WIN, at=AT + timedelta(days=1)))


def test_the_transaction_of_a_settlement_is_the_same_in_every_release():
    """Or a notice that is made again would look like a second payout: never change this value."""
    assert transaction(settled(Action.WIN)) == "645adfee-d50d-50e2-9561-01b57f4a4fa1"
    assert UUID(transaction(settled(Action.WIN))).version == 5


def test_no_two_settlements_share_a_transaction():
    """A second win after a rollback is another generation; other tickets and operators, too."""
    notice = NewNotice(Action.WIN, 1, {}, event_id="e", at=AT)
    state = a_round()
    calls = [
        message(state, notice),
        message(state, notice._replace(generation=2)),
        message(state, notice._replace(action=Action.LOST)),
        message(state, notice._replace(action=Action.REFUND)),
        message(replace(state, ticket_id="2"), notice),
        message(replace(state, terms=replace(SEAMLESS, code="other")), notice),
    ]

    assert len({transaction(call) for call in calls}) == len(calls)


# --- time, text and facts -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "written"),
    [
        (AT, "2019-12-11T19:57:28.431"),
        (datetime(2026, 11, 20, 10, tzinfo=UTC), "2026-11-20T10:00:00.000"),
        (
            datetime(2026, 11, 20, 4, 0, 0, 5000, tzinfo=timezone(timedelta(hours=-6))),
            "2026-11-20T10:00:00.005",
        ),
    ],
)
def test_the_timestamp_has_milliseconds_and_no_zone(at, written):
    """Contracts 2.1: `2019-12-11T19:57:28.431`."""
    assert fields(settled(Action.WIN, at=at))["timestamp"] == written


@pytest.mark.parametrize(
    ("feature", "written"), [(True, "true"), (False, "false"), (None, "false")]
)
def test_a_bought_feature_is_written_as_a_boolean(feature, written):
    made = settled(Action.WIN, feature_buy=feature)

    assert made.body.endswith(f'"isEndRound":true,"featureBuy":{written}}}')


def test_what_was_debited_stands_whatever_a_result_says_of_it():
    made = fields(settled(Action.LOST, player_id="other", price=1, game=None))

    assert (made["username"], made["game"]) == ("member001", "Ghost House")
    assert made["turnover"] == 5


def test_a_cash_out_s_own_amount_is_paid():
    assert fields(settled(Action.WIN, net_payout=1234))["amount"] == 12.34


def test_facts_of_the_same_transaction_count():
    """A ticket that is opened and settled in one batch, or filled in late."""
    state = replace(ticket("open", SEAMLESS), amended=dict(ROUND), details={})
    assert fields(message(state, NewNotice(Action.LOST, 1, {}, "e", at=AT)))["gameId"] == "GH"

    state = replace(ticket("open", SEAMLESS), filled=dict(ROUND), details={"game_id": "OLD"})
    assert fields(message(state, NewNotice(Action.LOST, 1, {}, "e", at=AT)))["gameId"] == "OLD"


def test_text_is_json_whatever_it_holds():
    state = a_round(game='Ghost "House" \\ ☃', player_id="é")

    made = message(state, NewNotice(Action.LOST, 1, {}, event_id="e", at=AT))

    assert fields(made)["game"] == 'Ghost "House" \\ ☃'
    assert '"username":"é"' in made.body
