"""Every PAM action as it arrives at a partner, on success and on failure (contracts 1.2 to 1.6).

The expected texts are written out: field by field, in the documented order, with `null` for what is
empty. The partner verifies each signature on its own side.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from models.operators.partners import find_partner
from models.outgoing.examples import FACTS
from models.platform.signing import sign
from models.sweeps.closing import close_due
from producers.simulation.partner import (
    CloseWithoutAnswer,
    LedgerEntry,
    Respond,
    Rule,
    SimulatedPartner,
)
from tests.support.delivery_setup import SECRET, DeliverySetup, delivery_settings
from worker.delivery.http.limits import TransferLimits
from worker.delivery.ping import ping

DAY = timedelta(hours=24)
FIRST_PAUSE = timedelta(seconds=10)
SLIP: dict[str, Any] = {name: value for name, value in FACTS.items() if name != "rtag"} | {
    "ticket_type": "jackpot",
    "reason": "result corrected",
    "shop": "never sent on",
}
WHO = '"ticket_code":"CD4BDD","player_id":"sometokenvalue"'
MONEY = (
    '"price":500,"stake":444,"wht_amount":240,"wht":10,"ext_amount":56,"ext":12.5,'
    '"ext_type":"inclusive","gross_payout":2842,"net_payout":2602'
)
TAGS = '"currency":"USD","atag":"atag_value","rtag":null,"ticket_type":"jackpot"'
REASON = ',"reason":"result-corrected"'
# What follows `operator` and `ticket_id`, for each action (contracts 1.4; psp and rtag: 5.2).
SENT = {
    "ticket_create": f",{WHO},{MONEY},{TAGS}",
    "ticket_reserve": f',{WHO},"psp":"mobile",{MONEY},{TAGS}',
    "ticket_update": f',{WHO},"psp":"mobile",{MONEY},{TAGS}',
    "ticket_win": "",
    "ticket_lost": "",
    "ticket_void": f",{MONEY}",
    "ticket_refund": REASON,
    "ticket_discard": REASON,
    "ticket_rollback": REASON,
    "ticket_closed": "",
}
SENT_ONCE = ("ticket_create", "ticket_reserve")
LATER = tuple(action for action in SENT if action not in SENT_ONCE)


def text(action: str, rest: str | None = None, *, ticket: str = "") -> bytes:
    """The body of *action* on its ticket, which bears the action's name."""
    fields = SENT[action] if rest is None else rest
    ids = f'"operator":"acme","ticket_id":"{ticket or action}"'
    return f'{{"action":"{action}","data":{{{ids}{fields}}}}}'.encode()


def play(delivery: DeliverySetup, partner: SimulatedPartner, *rules: Rule) -> Sequence[LedgerEntry]:
    """Let each action be sent once, for a ticket of its own, while *rules* are in force."""
    delivery.publish("acme", ("ticket_win", "ticket_closed"), **SLIP)
    delivery.deliver()
    delivery.clock.advance(DAY)
    delivery.publish("acme", ("ticket_open", "ticket_update"), ("ticket_win", "ticket_rollback"))
    delivery.deliver()
    with delivery.engine.begin() as connection:
        now = delivery.clock.now()
        assert close_due(connection, now=now, watermark=now, limit=10) == 1
    events = [(action, action) for action in SENT if action != "ticket_closed"]
    delivery.publish("acme", *events, **SLIP)
    return deliver(delivery, partner, *rules)


def deliver(
    delivery: DeliverySetup, partner: SimulatedPartner, *rules: Rule
) -> Sequence[LedgerEntry]:
    """Deliver what is due; return what arrived."""
    before = len(partner.ledger.entries())
    for rule in rules:
        partner.behave(rule)
    delivery.deliver()
    partner.behave_well()
    return partner.ledger.entries(after=before)


def by_ticket(entries: Sequence[LedgerEntry]) -> dict[str | None, LedgerEntry]:
    """Each action that was sent for its own ticket, and not what followed it."""
    by_action = {entry.action: entry for entry in entries if entry.action == entry.ticket_id}
    assert len(by_action) == sum(entry.action == entry.ticket_id for entry in entries), "sent once"
    return by_action


def heads(entry: LedgerEntry) -> dict[str, str]:
    return dict(entry.headers)


def test_every_action_arrives_with_exactly_the_documented_fields_and_headers(delivery, partner):
    entries = play(delivery, partner)

    assert {entry.ticket_id: entry.body for entry in entries} == {
        action: text(action) for action in SENT
    }
    now = int(delivery.clock.now().timestamp())
    for entry in entries:
        assert (entry.method, entry.path) == ("POST", "/")
        assert heads(entry).keys() == {
            *("host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"),
            *("timestamp", "signature", "idempotency-key"),
        }
        assert heads(entry)["content-type"] == "application/json"
        assert heads(entry)["timestamp"] == str(now)
        assert heads(entry)["signature"] == sign(entry.body, timestamp=now, secret=SECRET)
        assert entry.signature_ok
        assert entry.taken


def test_the_idempotency_key_is_operator_ticket_action_and_generation(delivery, partner):
    """H42; the second win after a rollback has the bytes of the first."""
    actions = ("ticket_win", "ticket_rollback", "ticket_win")
    delivery.publish("acme", *((action, "t") for action in actions))
    first, rollback, second = deliver(delivery, partner)

    assert first.body == second.body
    assert [entry.idempotency_key for entry in (first, rollback, second)] == [
        "acme/t/ticket_win/1",
        "acme/t/ticket_rollback/1",
        "acme/t/ticket_win/2",
    ]


@pytest.mark.parametrize(
    "failure",
    [Respond(503), Respond(302, headers=(("Location", "/"),)), CloseWithoutAnswer()],
    ids=["503", "redirect", "no answer"],
)
def test_a_failed_action_comes_again_as_the_same_bytes_freshly_signed(delivery, partner, failure):
    """Contracts 4.4: only `timestamp` and `signature` are new. Create and reserve: never."""
    failed = by_ticket(play(delivery, partner, Rule(failure, first=1, per_ticket=True)))
    delivery.clock.advance(timedelta(minutes=30))  # a discard's pause, the longest
    again = by_ticket(deliver(delivery, partner))

    for action in LATER:
        assert again[action].body == failed[action].body == text(action)
        assert again[action].idempotency_key == failed[action].idempotency_key
        assert again[action].signature_ok
        assert heads(again[action])["timestamp"] != heads(failed[action])["timestamp"]
        assert heads(again[action])["signature"] != heads(failed[action])["signature"]
        assert heads(again[action]).keys() == heads(failed[action]).keys()


@pytest.mark.parametrize("status", [201, 400, 404, 503])
def test_a_create_that_is_not_answered_with_200_is_discarded(delivery, partner, status):
    """Contracts 1.6; rule 10: the request is never sent a second time."""
    rules = [Rule(Respond(status), action=action) for action in SENT_ONCE]
    delivery.publish("acme", *((action, action) for action in SENT_ONCE), **SLIP)
    sent = deliver(delivery, partner, *rules)
    delivery.clock.advance(FIRST_PAUSE)
    sent = (*sent, *deliver(delivery, partner))

    for action in SENT_ONCE:
        created, discarded = (entry for entry in sent if entry.ticket_id == action)
        reason = "refused" if 400 <= status < 500 else "no-good-answer-came"
        assert created.body == text(action)
        assert discarded.body.startswith(
            text("ticket_discard", ',"reason":"', ticket=action).removesuffix(b"}}")
        )
        assert reason.encode() in discarded.body
        assert b" " not in discarded.body
        assert discarded.idempotency_key == f"acme/{action}/ticket_discard/0"


@pytest.mark.parametrize("refused", [LATER[:4], LATER[4:]], ids=["some", "the others"])
def test_a_refused_action_is_dead_with_the_partner_s_text(delivery, partner, refused):
    """Other 4xx. A discard is tried again (contracts 1.6)."""
    text_sent = '{"code":102,"message":"unknown"}'
    answer = Respond(404, body=text_sent.encode())
    play(delivery, partner, *(Rule(answer, action=action) for action in refused))

    ends = dict(
        delivery.rows(
            "SELECT n.action, coalesce(n.ended, 'waits') FROM notice n JOIN ticket t"
            " ON t.id = n.ticket WHERE t.ticket_id = n.action"
        )
    )
    expected = dict.fromkeys(SENT, "delivered") | dict.fromkeys(refused, "dead")
    assert ends == expected | ({"ticket_discard": "waits"} if "ticket_discard" in refused else {})
    stored = (
        "SELECT DISTINCT http_status, answer FROM delivery_attempt WHERE verdict <> 'delivered'"
    )
    assert delivery.rows(stored) == [(404, text_sent)]


def test_what_is_empty_is_sent_as_null(delivery, partner):
    """Contracts 1.3: signed and sent as `null`, never left out."""
    bare = dict.fromkeys(("psp", "atag", "reason"))
    delivery.publish("acme", ("ticket_open", "u"), ("ticket_update", "u"), **(SLIP | bare))
    delivery.publish("acme", ("ticket_refund", "r"))
    update, refund = sorted(
        deliver(delivery, partner), key=lambda entry: entry.action == "ticket_refund"
    )

    tags = TAGS.replace('"atag_value"', "null")
    assert update.body == text("ticket_update", f',{WHO},"psp":null,{MONEY},{tags}', ticket="u")
    assert refund.body == text("ticket_refund", ',"reason":null', ticket="r")


@pytest.mark.parametrize(
    ("status", "there"), [(200, True), (204, True), (403, False), (503, False)]
)
def test_a_ping_carries_neither_timestamp_nor_signature(delivery, partner, status, there):
    """Contracts 1.2; its shape: contracts 5.2."""
    partner.behave(Rule(Respond(status), action="ping"))
    with delivery.engine.begin() as connection:
        acme = find_partner(connection, "acme", now=delivery.clock.now())
    assert acme is not None
    settings = delivery_settings()

    pinged = ping(
        acme, secret="", limits=TransferLimits.of(settings), timeout=settings.partner_timeout
    )

    assert (pinged.there, pinged.status) == (there, status)
    (entry,) = partner.ledger.entries()
    assert entry.body == b'{"action":"ping"}'
    assert heads(entry).keys() == {
        *("host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"),
    }
