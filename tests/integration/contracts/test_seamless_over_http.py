"""Every seamless call as it arrives at a wallet (contracts 2.1, contracts 2.2).

The expected texts are written out. The simulated wallet takes exactly the documented fields.
"""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from models.notices.seamless import NO_ROLLBACK
from models.operators import change_operator
from models.operators.interventions import Person
from models.operators.partners import find_partner
from models.platform.signing import sign_seamless
from models.sweeps.closing import close_due
from producers.simulation.partner import LedgerEntry, Respond, Rule, SimulatedPartner
from tests.support.delivery_setup import SECRET, delivery_settings
from tests.support.wallet_setup import OPENING, attempts, deliver, settle
from worker.delivery.http.limits import TransferLimits
from worker.delivery.ping import ping

WHO = '"username":"member001","agent":"agentId","game":"Ghost House","gameId":"GH","roundId":"{}"'
END = '"isEndRound":true,"featureBuy":true'


@pytest.fixture
def partner(wallet_partner: SimulatedPartner) -> SimulatedPartner:
    return wallet_partner


def body_of(entry: LedgerEntry) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(entry.body)
    return body


def heads(entry: LedgerEntry) -> dict[str, str]:
    return dict(entry.headers)


@pytest.mark.parametrize(
    ("action", "data", "path", "amount", "rest"),
    [
        ("ticket_win", {}, "/payout", "50", END),
        ("ticket_win", {"net_payout": 12_345}, "/payout", "123.45", END),
        ("ticket_lost", {}, "/payout", "0", END),
        ("ticket_void", {}, "/cancel", "250", None),
        ("ticket_void", {"net_payout": 25_000}, "/cancel", "250", None),
        ("ticket_void", {"net_payout": 10_001}, "/payout", "100.01", END),
        ("ticket_refund", {}, "/cancel", "250", None),
    ],
)
def test_a_settlement_arrives_with_exactly_the_documented_fields(
    delivery, partner, wallet, action, data, path, amount, rest
):
    """Contracts 2.2; the sample request of the specification."""
    settle(delivery, action, **data)
    (entry,) = deliver(delivery, partner)

    turnover = '"turnover":250,' if rest else ""
    tail = f",{rest}" if rest else ""
    transaction = body_of(entry)["transactionId"]
    happened = body_of(entry)["timestamp"]
    assert entry.path == path
    assert entry.body.decode() == (
        f'{{{WHO.format(action)},"amount":{amount},{turnover}"currency":"THB",'
        f'"transactionId":"{transaction}","timestamp":"{happened}"{tail}}}'
    )
    assert str(UUID(transaction)) == transaction
    assert happened.startswith("2026-11-20T10:00:00.0")
    assert heads(entry).keys() == {
        *("host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"),
    }
    assert wallet.balances == {"member001": OPENING + Decimal(amount)}
    (attempt,) = attempts(delivery)
    assert (attempt.verdict, attempt.http_status) == ("delivered", 200)
    assert attempt.remarks == {
        "code": 0,
        "message": "Success",
        "ref_id": transaction,
        "balance_before": "10000",
        "balance_after": f"{OPENING + Decimal(amount)}",
    }


def test_a_wallet_that_asks_for_it_gets_its_signature(delivery, partner, wallet):
    """Contracts 2.1."""
    wallet.demands_signature = True
    with delivery.engine.begin() as connection:
        change_operator(connection, "house", {"sign_calls": True}, person=Person("test", "needed"))
    settle(delivery, "ticket_win")

    (entry,) = deliver(delivery, partner)

    assert heads(entry)["x-amb-signature"] == sign_seamless(entry.body, secret=SECRET)
    assert (entry.signature_ok, entry.taken) == (True, True)


def test_each_settlement_has_a_transaction_of_its_own(delivery, partner, wallet):
    for action in ("ticket_win", "ticket_lost", "ticket_void", "ticket_refund"):
        settle(delivery, action)

    entries = deliver(delivery, partner)

    assert len({body_of(entry)["transactionId"] for entry in entries}) == 4
    assert wallet.transactions == 4
    assert wallet.balances == {"member001": OPENING + 50 + 0 + 250 + 250}


def test_a_rollback_is_dead_at_once_and_what_follows_waits_for_a_person(delivery, partner):
    """No seamless call takes a settlement back."""
    settle(delivery, "ticket_win")
    delivery.publish("house", ("ticket_rollback", "ticket_win"), ("ticket_lost", "ticket_win"))

    (entry,) = deliver(delivery, partner)

    assert entry.action == "payout"
    notices = delivery.rows("SELECT action, ended, reason FROM notice ORDER BY number")
    assert notices == [
        ("ticket_win", "delivered", None),
        ("ticket_rollback", "dead", NO_ROLLBACK),
        ("ticket_lost", None, None),
    ]


def test_a_seamless_ticket_closes_without_a_call(delivery, partner):
    settle(delivery, "ticket_win")
    deliver(delivery, partner)
    now = delivery.clock.advance(timedelta(hours=24))

    with delivery.engine.begin() as connection:
        assert close_due(connection, now=now, watermark=now, limit=10) == 1

    assert deliver(delivery, partner) == ()
    (ticket,) = delivery.rows("SELECT status, unfinished FROM ticket")
    assert ticket == ("closed", 0)


@pytest.mark.parametrize("behaviour", [None, Respond(200, body=b"It works")])
def test_a_ping_asks_for_the_balance_of_nobody(delivery, partner, wallet, behaviour):
    """Contracts 2.0: there is no ping; `/balance` only reads."""
    if behaviour is not None:
        partner.behave(Rule(behaviour))
    with delivery.engine.begin() as connection:
        house = find_partner(connection, "house", now=delivery.clock.now())
    assert house is not None
    settings = delivery_settings()

    pinged = ping(
        house, secret="", limits=TransferLimits.of(settings), timeout=settings.partner_timeout
    )

    assert pinged.there is (behaviour is None)
    (entry,) = partner.ledger.entries()
    assert (entry.path, body_of(entry)) == (
        "/balance",
        {"username": "slipway-ping", "agentId": "agentId"},
    )
    assert wallet.balances == {}
