"""Claiming undelivered notices: heads only, under a lease, operator by operator."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from models.notices.key import key_of
from models.operators.partners import enabled_partners
from models.outbox.values import Claim, Dead, RetryLater, Unanswered
from models.vocabulary import Action
from tests.support.harness import CLOSE_DELAY, LEASE, SLIP, Harness

MOMENT = timedelta(microseconds=1)
PAUSE = timedelta(seconds=30)
COPY_NOTICE = text("""
    INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at,
                        created_at)
    SELECT ticket, operator, number + 1, action, generation, body, false, due_at, created_at
      FROM notice""")


@pytest.fixture
def three_notices(harness):
    """A ticket with three undelivered notices."""
    harness.publish(*(harness.event(f"ticket_{word}") for word in ("win", "rollback", "lost")))


@pytest.mark.usefixtures("three_notices")
def test_a_ticket_s_notices_go_out_one_after_the_other(harness):
    """Rule 12: only the oldest unfinished one can be claimed."""
    batches = [harness.deliver() for _ in range(4)]

    assert batches == [
        [("T", "ticket_win")],
        [("T", "ticket_rollback")],
        [("T", "ticket_lost")],
        [],
    ]


@pytest.mark.usefixtures("three_notices")
def test_a_follower_waits_while_its_head_is_being_sent_or_tried_again(harness):
    head = harness.claim_one()
    while_sending = harness.claim()
    harness.record(head, RetryLater(PAUSE))
    while_waiting = harness.claim()
    harness.wait(PAUSE)

    assert (while_sending, while_waiting) == ([], [])
    assert harness.claim_one().notice == head.notice


def test_what_arrives_behind_an_unfinished_notice_is_no_head(harness, records):
    """Rule 12, H37."""
    harness.say("ticket_win")
    harness.claim()
    harness.say("ticket_rollback")
    assert [row.head for row in records.notices()] == [True, False]
    assert harness.claim() == []


def test_what_arrives_behind_finished_notices_is_the_head(harness, records):
    harness.say("ticket_win")
    harness.deliver()
    harness.say("ticket_rollback")

    assert [row.head for row in records.notices()] == [False, True]
    assert harness.deliver() == [("T", "ticket_rollback")]


def test_the_database_refuses_a_second_notice_of_the_same_name(harness, records, engine):
    """Rule 12: unique (ticket, action, generation)."""
    harness.say("ticket_win")

    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(COPY_NOTICE)
    assert len(records.notices()) == 1


def test_a_second_win_has_the_bytes_of_the_first_and_a_key_of_its_own(harness):
    """H42: the request has no generation, the idempotency key has."""
    harness.publish(*(harness.event(f"ticket_{word}") for word in ("win", "rollback", "win")))
    first, back, second = (_claim_and_deliver(harness) for _ in range(3))

    assert first.body == second.body
    assert [claim.idempotency_key for claim in (first, back, second)] == [
        "acme/T/ticket_win/1",
        "acme/T/ticket_rollback/1",
        "acme/T/ticket_win/2",
    ]


def test_a_lease_hides_a_notice_until_it_is_over_to_the_microsecond(harness):
    harness.say("ticket_win")
    first = harness.claim_one()

    harness.wait(LEASE - MOMENT)
    before = harness.claim()
    harness.wait(MOMENT)
    again = harness.claim_one()

    assert before == []
    assert (first.number, again.number) == (1, 2)
    assert again.lease != first.lease
    assert again.body == first.body


def test_a_lease_covers_the_timeout_that_the_partner_has_of_its_own(harness, engine):
    """Rule 14: what is being called is not claimed by another, however long it may take."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE operator SET timeout = interval '40 seconds'"))
    harness.say("ticket_win")

    first = harness.claim_one()
    harness.wait(timedelta(seconds=40) - MOMENT)
    before = harness.claim()
    harness.wait(MOMENT)

    assert first.timeout == timedelta(seconds=40)
    assert before == []
    assert harness.claim_one().number == 2


def test_a_lost_lease_leaves_its_notice_perhaps_delivered(harness, records):
    """The sender died, so how far it got is unknown."""
    harness.say("ticket_win")
    harness.claim()
    assert not records.notice(1).perhaps_delivered
    harness.wait(LEASE)
    harness.claim()

    assert records.notice(1).perhaps_delivered


def test_two_deliverers_share_what_is_due_and_wait_for_no_lock(harness, engine):
    """Rule 19: SKIP LOCKED, while both transactions are open."""
    harness.publish(*(harness.event("ticket_win", f"T{number}") for number in range(10)))
    with engine.begin() as first, engine.begin() as second:
        mine = harness.claim_within(first, {1: 6})
        yours = harness.claim_within(second, {1: 6})

    assert (len(mine), len(yours)) == (6, 4)
    assert {each.notice for each in mine}.isdisjoint(each.notice for each in yours)


def test_no_operator_gets_more_than_it_has_room_for(harness, engine):
    """Claims are per operator."""
    bravo, closed = harness.add_operator("bravo"), harness.add_operator("closed")
    for operator in ("acme", "bravo", "closed"):
        harness.publish(
            *(harness.event("ticket_win", f"T{number}", operator=operator) for number in range(9))
        )
    with engine.begin() as connection:
        claims = harness.claim_within(connection, {1: 4, bravo: 7, closed: 0, 999: 5})

    got = [claim.operator_code for claim in claims]
    assert {code: got.count(code) for code in set(got)} == {"acme": 4, "bravo": 7}


def test_the_longest_due_goes_first(harness, engine):
    for ticket in ("first", "second", "third"):
        harness.say("ticket_win", ticket)
        harness.wait(timedelta(seconds=1))

    with engine.begin() as connection:
        (only,) = harness.claim_within(connection, {1: 1})
    assert only.ticket_id == "first"


@pytest.mark.parametrize("action", ["ticket_win", "ticket_create"])
def test_giving_a_claim_back_uses_up_nothing(harness, records, action):
    """Also of a create, which is claimed once in its life: it was never sent."""
    harness.say(action, **(SLIP if action == "ticket_create" else {}))
    harness.release(harness.claim_one())

    row = records.notice(1)
    assert (row.claims, row.tries, row.lease, row.perhaps_delivered) == (0, 0, None, False)
    assert harness.claim_one().number == 1


def test_giving_back_a_lost_lease_leaves_its_new_owner_alone(harness, records):
    harness.publish(harness.event("ticket_win", "A"))
    lost = harness.claim_one()
    harness.wait(LEASE)
    harness.publish(harness.event("ticket_win", "B"))
    owned = {claim.ticket_id: claim for claim in harness.claim()}

    harness.release(lost, owned["B"])

    assert records.notice(1, "A").lease == owned["A"].lease
    assert records.notice(1, "B").lease is None


def test_a_disabled_operator_s_notices_are_held_and_go_out_later(harness, records, engine):
    """Events are still applied."""
    bravo = harness.add_operator("bravo")
    harness.disable()
    for operator in ("acme", "bravo"):
        harness.say("ticket_win", operator=operator)

    with engine.begin() as connection:
        enabled = enabled_partners(connection, now=harness.clock.now())
        claims = harness.claim_within(
            connection, {operator.id: operator.in_flight for operator in enabled}
        )
    assert [operator.id for operator in enabled] == [bravo]
    assert [claim.operator_code for claim in claims] == ["bravo"]
    assert records.standing() == "resulted/won"


@pytest.mark.usefixtures("three_notices")
def test_a_dead_notice_blocks_its_ticket_and_no_other(harness, records):
    """H38: only a person can resolve it."""
    harness.deliver(Dead("400 Bad Request"))
    harness.say("ticket_win", "OTHER")
    harness.wait(timedelta(days=3))

    assert harness.deliver() == [("OTHER", "ticket_win")]
    dead = records.notice(1)
    assert (dead.ended, dead.reason, dead.head) == ("dead", "400 Bad Request", True)
    harness.say("ticket_rollback")
    assert harness.claim() == []


def test_what_a_protocol_has_no_call_for_is_dead_from_the_start_and_blocks(harness, records):
    """AMBSlot takes no settlement back (contracts 2.5), so a person has to settle it."""
    harness.add_operator("wallet", protocol="seamless")
    game = {"player_id": "p", "price": 500, "currency": "EUR", "game": "g", "game_id": "1"}
    harness.say("ticket_open", operator="wallet", **game)
    for word in ("lost", "rollback", "void"):
        harness.say(f"ticket_{word}", operator="wallet")

    assert harness.deliver() == [("T", "ticket_lost")]
    assert harness.deliver() == []
    ended = [(row.ended, row.head) for row in records.notices(operator="wallet")]
    assert ended == [("delivered", False), ("dead", True), (None, False)]


def test_a_failure_keeps_the_notice_at_the_head_with_its_schedule(harness, records):
    harness.say("ticket_win")
    started = harness.now
    for verdict in (RetryLater(PAUSE), Unanswered(PAUSE), RetryLater(PAUSE)):
        assert harness.deliver(verdict) == [("T", "ticket_win")]
        harness.wait(PAUSE - MOMENT)
        assert harness.claim() == []
        harness.wait(MOMENT)

    claim = harness.claim_one()
    assert (claim.tries, claim.first_tried_at) == (3, started)
    assert [row.verdict for row in records.attempts()] == ["again", "unanswered", "again"]


def _claim_and_deliver(harness: Harness) -> Claim:
    claim = harness.claim_one()
    harness.record(claim)
    return claim


SLASHED = (("a", "b/c"), ("a/b", "c"))


def test_tickets_whose_ids_look_alike_when_they_are_joined_have_keys_of_their_own(harness, records):
    """Operators `a` and `a/b`, tickets `b/c` and `c`: each player is paid."""
    for code, ticket_id in SLASHED:
        harness.add_operator(code)
        harness.say("ticket_win", ticket_id, operator=code)
    claims = harness.claim()
    results = {claim.idempotency_key for claim in claims}
    for claim in claims:
        harness.record(claim)
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    closings = {claim.idempotency_key for claim in harness.claim()}

    assert results == {"a b/c ticket_win 1", "a/b c ticket_win 1"}
    assert closings == {"a b/c ticket_closed 1", "a/b c ticket_closed 1"}
    for code, ticket_id in SLASHED:
        assert [row.idempotency_key for row in records.notices(ticket_id, operator=code)] == [
            key_of(code, ticket_id, Action(row.action), row.generation)
            for row in records.notices(ticket_id, operator=code)
        ]


def test_wallets_whose_ids_look_alike_when_they_are_joined_get_transactions_of_their_own(harness):
    transaction_ids = set()
    for code, ticket_id in SLASHED:
        harness.add_operator(code, protocol="seamless", announces_tickets=True)
        harness.say("ticket_open", ticket_id, operator=code, **SLIP, game="G", game_id="1")
        harness.say("ticket_lost", ticket_id, operator=code)
        transaction_ids.add(json.loads(_claim_and_deliver(harness).body)["transactionId"])

    assert len(transaction_ids) == len(SLASHED)


def test_a_notice_of_an_older_release_is_sent_under_the_key_it_had(harness, records, engine):
    """The partner may have it already, under that key; what follows has a key of its own."""
    harness.add_operator("a/b")
    harness.say("ticket_win", "c", operator="a/b")
    with engine.begin() as connection:
        connection.execute(text("UPDATE notice SET idempotency_key = NULL"))
    before = harness.claim_one()
    harness.record(before, Unanswered(PAUSE))
    harness.wait(PAUSE)
    repeat = _claim_and_deliver(harness)
    harness.say("ticket_rollback", "c", operator="a/b")

    assert before.idempotency_key == repeat.idempotency_key == "a/b/c/ticket_win/1"
    assert _key(harness) == "a/b c ticket_rollback 1"


def _key(harness: Harness) -> str:
    return _claim_and_deliver(harness).idempotency_key
