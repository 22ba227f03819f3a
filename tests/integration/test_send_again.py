"""Rule 22: what was delivered goes out once more, and nothing else changes."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, Row

from models.history import load_histories, public, why_not_closed
from models.operators.interventions import Person
from models.outbox.circuit import REFUSALS_MAX
from models.outbox.dead_letters import NotPossible, Resolution, resolve
from models.outbox.repeats import StillUnfinished
from models.outbox.send_again import SentAgain
from models.outbox.values import Attempt, Dead, Delivered, RetryLater, Unanswered
from models.sweeps.retention import remove_expired
from models.triage import resolve_dead, send_notices_again
from tests.support.harness import CLOSE_DELAY, LEASE, PARTNER_GRACE, SLIP, TOOK

ANNA = Person("anna", "they restored a backup")
HOUR = timedelta(hours=1)
REFUSED = Dead("404")


@pytest.fixture
def again(harness, records):
    """Have a ticket sent again from the notice with this number on."""

    def send(number: int = 1, ticket_id: str = "T") -> SentAgain:
        notice = records.notice(number, ticket_id).id
        with harness.engine.begin() as connection:
            return send_notices_again(connection, notice, person=ANNA, now=harness.now)

    return send


@pytest.fixture
def settled_again(harness):
    """A ticket that was won, rolled back and lost: all of it delivered."""
    for action in ("ticket_win", "ticket_rollback", "ticket_lost"):
        harness.say(action)
        harness.deliver()
        harness.wait(HOUR)


@pytest.mark.usefixtures("settled_again")
def test_what_was_delivered_goes_out_once_more_from_the_chosen_to_the_last(harness, records, again):
    before = records.ticket()
    originals = records.notices()

    done = again(2)

    assert [(each.number, each.original, each.repeat) for each in done.repeats] == [
        (4, 2, 1),
        (5, 3, 1),
    ]
    assert done.due
    repeats = records.notices()[3:]
    for repeat, original in zip(repeats, originals[1:], strict=True):
        same = ("action", "generation", "path", "body", "idempotency_key", "operator")
        assert [getattr(repeat, each) for each in same] == [
            getattr(original, each) for each in same
        ]
        assert repeat.event_id is None
    records.check()
    assert harness.deliver() == [("T", "ticket_rollback")]
    assert harness.deliver() == [("T", "ticket_lost")]
    assert harness.deliver() == []
    after = records.ticket()
    moves = ("status", "result", "generation", "settled_at", "close_due_at", "untold", "parked")
    assert [getattr(after, each) for each in moves] == [getattr(before, each) for each in moves]
    records.check()


def test_the_key_of_a_repeat_is_that_of_its_original(harness, records, again):
    harness.say("ticket_win", "a/b")
    (original,) = harness.claim()
    harness.record(original)
    again(ticket_id="a/b")
    (repeat,) = harness.claim()

    assert repeat.repeat == 1
    assert repeat.idempotency_key == original.idempotency_key == "acme a/b ticket_win 1"
    assert repeat.body == original.body


@pytest.mark.usefixtures("settled_again")
def test_each_time_makes_the_next_repeat(harness, records, again):
    again(3)
    harness.deliver()
    done = again(4)  # a repeat stands for its original
    harness.deliver()

    assert [(each.number, each.original, each.repeat) for each in done.repeats] == [(5, 3, 2)]
    assert [row.repeat for row in records.notices()] == [0, 0, 0, 1, 2]


def test_create_and_reserve_are_never_repeated(harness, records, again):
    """Rule 10: they would debit the player a second time."""
    harness.say("ticket_create", **SLIP)
    harness.deliver()
    with pytest.raises(NotPossible, match="debit the player a second time"):
        again()
    harness.say("ticket_win")
    harness.deliver()

    done = again()

    assert [each.action for each in done.repeats] == ["ticket_win"]
    assert [(each.number, each.action) for each in done.left_out] == [(1, "ticket_create")]


def test_what_the_partner_never_had_is_not_repeated(harness, records, again):
    harness.say("ticket_win")
    harness.deliver(REFUSED)
    with harness.engine.begin() as connection:
        resolve(connection, records.notice(1).id, Resolution.SKIP_NOT_DELIVERED, now=harness.now)
    for action in ("ticket_rollback", "ticket_lost"):
        harness.say(action)
        harness.deliver()
    with pytest.raises(NotPossible, match="it was skipped; choose a notice that was delivered"):
        again(1)

    done = again(3)

    assert [each.original for each in done.repeats] == [3]
    assert records.notice_actions() == [
        "ticket_win",
        "ticket_rollback",
        "ticket_lost",
        "ticket_lost",
    ]


def test_a_body_that_was_erased_is_not_built_again(harness, records, again, engine):
    harness.say("ticket_win")
    harness.deliver()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE notice SET body = ''")

    with pytest.raises(NotPossible, match="its body was erased"):
        again()
    assert len(records.notices()) == 1


@pytest.mark.usefixtures("settled_again")
def test_it_waits_until_nothing_of_the_ticket_is_unfinished(harness, records, again):
    harness.say("ticket_rollback")
    with pytest.raises(StillUnfinished, match=r"number 4.* has not been delivered yet"):
        again()
    harness.deliver(REFUSED)
    with pytest.raises(StillUnfinished, match="is dead: retry or skip it"):
        again()
    assert len(records.notices()) == 4


@pytest.mark.parametrize("fast", [True, False])
def test_a_repeat_starts_no_close_delay(harness, records, again, fast):
    """Both ways of recording a success leave the clock as it is."""
    harness.say("ticket_win")
    harness.deliver()
    due_at = records.ticket().close_due_at
    harness.wait(HOUR)
    again()
    if fast:
        harness.deliver()
    else:
        harness.deliver(RetryLater(timedelta()))
        claim = harness.claim_one()
        failed = Attempt(claim, Unanswered(timedelta()), TOOK)
        harness.record_attempts(failed)
        harness.wait(PARTNER_GRACE)
        harness.deliver()

    assert records.notice(2).ended == "delivered"
    assert records.ticket().close_due_at == due_at == records.notice(1).ended_at + CLOSE_DELAY


@pytest.mark.usefixtures("settled_again")
def test_the_closing_is_numbered_after_the_repeats(harness, records, again):
    again()
    harness.wait(CLOSE_DELAY)

    assert harness.close_due() == 1
    records.check()
    sent = [harness.deliver() for _ in range(4)]

    assert [action for [(_, action)] in sent] == [
        "ticket_win",
        "ticket_rollback",
        "ticket_lost",
        "ticket_closed",
    ]


@pytest.mark.usefixtures("settled_again")
def test_what_an_event_causes_meanwhile_is_numbered_after_the_repeats(harness, records, again):
    again(3)
    harness.say("ticket_rollback")

    assert harness.deliver() == [("T", "ticket_lost")]
    assert records.standing() == "open/pending"
    assert harness.deliver() == [("T", "ticket_rollback")]
    assert records.ticket().close_due_at is None


def test_a_closing_is_repeated_and_retention_waits_for_it(harness, records, again, engine):
    harness.say("ticket_win")
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.deliver()
    again()
    harness.wait(HOUR)
    with engine.begin() as connection:
        assert remove_expired(connection, before=harness.now, limit=10) == 0
    assert [harness.deliver() for _ in range(2)] == [
        [("T", "ticket_win")],
        [("T", "ticket_closed")],
    ]
    assert records.standing() == "closed/won"
    with engine.begin() as connection:
        assert remove_expired(connection, before=harness.now, limit=10) == 1


def test_a_discard_is_repeated_and_not_sent_a_second_time_for_it(harness, records, again):
    harness.say("ticket_discard")
    harness.deliver()
    again()
    harness.deliver()

    assert records.notice_actions() == ["ticket_discard", "ticket_discard"]
    assert records.standing() == "cancelled/pending"


def test_after_an_attempt_without_an_answer_nothing_follows_within_the_grace(
    harness, records, again
):
    """Rule 15 holds between repeats too."""
    for action in ("ticket_win", "ticket_rollback"):
        harness.say(action)
        harness.deliver()
    again()
    harness.deliver(Unanswered(timedelta()))

    assert harness.claim() == []
    harness.wait(PARTNER_GRACE)
    assert harness.deliver() == [("T", "ticket_win")]
    assert harness.deliver() == [("T", "ticket_rollback")]


@pytest.mark.parametrize(
    "way", [Resolution.SKIP_REPEAT, Resolution.SKIP_DELIVERED, Resolution.SKIP_NOT_DELIVERED]
)
@pytest.mark.usefixtures("settled_again")
def test_a_dead_repeat_is_skipped_without_consequences(harness, records, again, way):
    """A result marks nothing as unknown to the partner, and even a rollback may be skipped."""
    due_at = records.ticket().close_due_at
    again()
    for number in (4, 5, 6):
        harness.deliver(REFUSED)
        with harness.engine.begin() as connection:
            resolve_dead(connection, records.notice(number).id, way, now=harness.now, person=ANNA)
    ticket = records.ticket()

    assert [row.ended for row in records.notices()[3:]] == ["skipped"] * 3
    assert (ticket.untold, ticket.close_due_at, ticket.unfinished) == (None, due_at, 0)
    records.check()


def test_a_dead_original_still_needs_one_of_the_two_words(harness, records):
    harness.say("ticket_win")
    harness.deliver(REFUSED)

    with (
        pytest.raises(NotPossible, match="is no repeat") as refused,
        harness.engine.begin() as connection,
    ):
        resolve(connection, records.notice(1).id, Resolution.SKIP_REPEAT, now=harness.now)
    assert refused.value.instead == (Resolution.SKIP_DELIVERED, Resolution.SKIP_NOT_DELIVERED)


def circuit(engine: Engine) -> Row[Any]:
    with engine.connect() as connection:
        return connection.exec_driver_sql("SELECT * FROM circuit").one()


def test_refused_repeats_open_no_circuit(harness, engine, again):
    """The partner has them and may say so; ten of them would hold up all that is new."""
    for number in range(REFUSALS_MAX + 5):
        harness.say("ticket_win", f"T{number}")
    harness.deliver()
    for number in range(REFUSALS_MAX + 5):
        again(ticket_id=f"T{number}")

    harness.deliver(REFUSED)

    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM circuit").scalar_one() == 0 or (
            circuit(engine).refused,
            circuit(engine).opened_at,
        ) == (0, None)
        dead = "SELECT count(*) FROM notice WHERE ended = 'dead'"
        assert connection.exec_driver_sql(dead).scalar_one() == REFUSALS_MAX + 5


def test_a_repeat_that_is_taken_hides_no_refusals(harness, engine, records, again):
    """A partner that answers 200 to what it knows may refuse everything that is new."""
    harness.say("ticket_win", "known")
    harness.deliver()
    for number in range(REFUSALS_MAX):
        harness.say("ticket_win", f"T{number}")
        harness.deliver(REFUSED)
        if number < REFUSALS_MAX - 1:
            again(ticket_id="known")
            harness.deliver()

    assert circuit(engine).reason.startswith(f"refused {REFUSALS_MAX} notices in a row")


@pytest.mark.parametrize("status", [401, 403])
def test_a_repeat_that_is_locked_out_opens_the_circuit(harness, engine, again, status):
    """It says the truth about the partner, whatever is sent."""
    harness.say("ticket_win")
    harness.deliver()
    again()
    attempt = Attempt(
        harness.claim_one(), RetryLater(timedelta(minutes=1)), TOOK, http_status=status
    )
    harness.record_attempts(attempt)

    assert circuit(engine).opened_at is not None


def test_a_ticket_s_history_says_what_is_a_repeat_and_who_asked(harness, records, again):
    harness.say("ticket_win")
    harness.deliver()
    again()
    with harness.engine.connect() as connection:
        (history,) = load_histories(connection, "T")
    original, repeat = history.notices

    assert original.as_repeat is None
    assert repeat.as_repeat == "repeat 1 of number 1, asked for by anna"
    assert "anna" not in str(public(history))
    assert history.events[0].notices == (
        type(history.events[0].notices[0])(1, "ticket_win", 1, "delivered"),
    )
    assert [(each.who, each.did) for each in history.interventions] == [
        ("anna", "notices_sent_again")
    ]
    assert "the partner has not accepted ticket_win (repeat 1 of number 1, asked for by anna)" in (
        why_not_closed(history, now=harness.now)
    )


def test_a_wallet_s_payout_is_repeated_with_the_same_transaction(harness, records, again):
    """The wallet recognises the transaction id, which is made from the key."""
    harness.add_operator("wallet", protocol="seamless", announces_tickets=True)
    words = {"game": "football", "game_id": "g-1"}
    harness.say("ticket_open", "W", operator="wallet", **SLIP, **words)
    harness.say("ticket_win", "W", operator="wallet")
    harness.deliver()
    (original,) = records.notices("W", operator="wallet")
    with harness.engine.begin() as connection:
        send_notices_again(connection, original.id, person=ANNA, now=harness.now)
    repeat = records.notices("W", operator="wallet")[1]

    assert (repeat.path, repeat.body) == (original.path, original.body)
    assert harness.deliver() == [("W", "ticket_win")]


def test_a_second_deliverer_s_late_success_of_the_original_ends_no_repeat(harness, records, again):
    harness.say("ticket_win")
    slow = Attempt(harness.claim_one(), Delivered(), TOOK)
    harness.wait(LEASE)
    harness.deliver()
    again()
    harness.record_attempts(slow)

    assert [row.ended for row in records.notices()] == ["delivered", None]
    assert harness.deliver() == [("T", "ticket_win")]
