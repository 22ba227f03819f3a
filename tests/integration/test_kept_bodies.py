"""Rule 28: what was sent and answered is removed when its partner's time is over, and no sooner."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from sqlmodel import SQLModel

from models.history import load_histories
from models.history.request import find_attempt
from models.operators import change_operator
from models.operators.interventions import Person
from models.outbox.contents import ATTEMPT_CONTENTS, NOTICE_CONTENTS
from models.outbox.dead_letters import NotPossible, Resolution, resolve
from models.outbox.send_again import send_again
from models.outbox.values import Attempt, Dead, Delivered, RetryLater
from models.sweeps.bodies import LOOKED_AT_AGAIN, remove_bodies
from models.triage import send_notices_again
from tests.support.harness import CLOSE_DELAY, OPERATOR, SLIP, TOOK, Harness

KEEP = timedelta(days=30)
HOUR = timedelta(hours=1)
ANNA = Person("anna", "their counsel asks for it")
ANSWER = "thank you, dear betting company"
ATTEMPT_FACTS = {
    *("notice", "claim", "operator", "verdict", "took_ms", "http_status", "problem"),
    *("recorded_at", "sent_at", "remote_address", "traceparent"),
}
CALL_FACTS = {"took_ms", "http_status", "sent_at", "remote_address", "call_traceparent"}


def keep(harness: Harness, time: timedelta | None, operator: str = OPERATOR) -> None:
    """Say how long the partner's bodies are kept."""
    with harness.engine.begin() as connection:
        change_operator(connection, operator, {"keep_bodies": time}, person=ANNA)


def remove(harness: Harness, *, limit: int = 100) -> int:
    with harness.engine.begin() as connection:
        return remove_bodies(connection, now=harness.now, limit=limit)


def send(harness: Harness) -> None:
    """Have what is due delivered, with everything that an attempt may hold."""
    harness.record_attempts(
        *(
            Attempt(
                claim,
                Delivered(),
                TOOK,
                http_status=200,
                answer=ANSWER,
                remarks={"code": 0, "by_proxy": True},
                response_headers={"headers": [["Server", "nginx"]]},
            )
            for claim in harness.claim()
        )
    )


def live_and_close(harness: Harness, ticket_id: str = "T", operator: str = OPERATOR) -> None:
    """A whole life: two notices, each delivered at its second attempt."""
    harness.say("ticket_win", ticket_id, operator=operator)
    harness.deliver(RetryLater(timedelta()))
    send(harness)
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    send(harness)


@pytest.fixture
def partner(harness: Harness) -> None:
    keep(harness, KEEP)


@pytest.mark.usefixtures("partner")
def test_bodies_and_answers_go_and_every_other_fact_stays(harness, records):
    live_and_close(harness)
    before = [records.ticket(), *records.notices(), *records.attempts(), *records.events()]
    harness.wait(KEEP)
    assert remove(harness) == 0

    harness.wait(TOOK)
    assert remove(harness) == 1

    after = [records.ticket(), *records.notices(), *records.attempts(), *records.events()]
    changed = {
        name
        for old, new in zip(before, after, strict=True)
        for name in old._fields
        if getattr(old, name) != getattr(new, name)
    }
    assert changed == {"bodies_removed_at", "body", "answer", "remarks", "response_headers"}
    assert {notice.body for notice in records.notices()} == {""}
    assert [attempt.remarks for attempt in records.attempts()] == [
        None,
        {"by_proxy": True},
        {"by_proxy": True},
    ]
    assert remove(harness) == 0
    records.check()


@pytest.mark.usefixtures("partner")
def test_what_a_notice_keeps_of_its_call_goes_with_its_body(harness, records):
    remarks = {"code": 0, "by_proxy": True}
    harness.say("ticket_win")
    claim = harness.claim_one()
    harness.record_attempts(
        Attempt(claim, Delivered(), TOOK, http_status=200, answer=ANSWER, remarks=remarks)
    )
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.deliver()
    before = records.notice(1)
    harness.wait(KEEP + TOOK)

    assert remove(harness) == 1

    after = records.notice(1)
    assert (before.answer, before.remarks) == (ANSWER, remarks)
    assert (after.answer, after.remarks) == (None, {"by_proxy": True})
    assert (after.took_ms, after.http_status) == (before.took_ms, 200)


def test_every_column_of_notices_and_attempts_is_a_fact_or_content():
    """A new one has to be named here, or beside what is removed."""
    tables = SQLModel.metadata.tables
    assert set(tables["delivery_attempt"].columns.keys()) == ATTEMPT_FACTS | {*ATTEMPT_CONTENTS}
    texts = {name for name, each in tables["notice"].columns.items() if str(each.type) == "VARCHAR"}
    assert texts - {*NOTICE_CONTENTS} == {
        *("event_id", "idempotency_key", "reason", "traceparent", "call_traceparent"),
    }
    of_call = CALL_FACTS | ({*NOTICE_CONTENTS} & {*ATTEMPT_CONTENTS})
    assert of_call <= {*tables["notice"].columns.keys()}
    # All that an attempt is: by these, by what its notice is, or by a row of its own.
    assert {name.removeprefix("call_") for name in of_call} == (
        ATTEMPT_FACTS | {*ATTEMPT_CONTENTS}
    ) - {"notice", "claim", "operator", "verdict", "recorded_at", "problem", "response_headers"}


@pytest.mark.usefixtures("partner")
def test_a_wallet_s_calls_go_too_and_a_cancelled_ticket_s(harness, records):
    harness.add_operator("wallet", protocol="seamless", announces_tickets=True)
    keep(harness, KEEP, "wallet")
    details = {**SLIP, "game": "g", "game_id": "1"}
    harness.say("ticket_open", "W", operator="wallet", **details)
    harness.say("ticket_win", "W", operator="wallet", net_payout=5, currency="EUR")
    harness.say("ticket_discard", "D")
    send(harness)
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.wait(KEEP + TOOK)

    assert remove(harness) == 2
    assert [(n.body, n.path) for n in records.notices("W", operator="wallet")] == [("", "")]
    assert [n.body for n in records.notices("D")] == [""]


@pytest.mark.usefixtures("partner")
@pytest.mark.parametrize("keeps", ["unfinished", "dead", "on hold"])
def test_what_is_needed_stays_and_goes_a_day_after_it_is_not(harness, records, engine, keeps):
    """A closing that must still be repeated has its body for every attempt."""
    harness.say("ticket_win")
    send(harness)
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    if keeps == "dead":
        harness.deliver(Dead("409"))
    elif keeps == "on hold":
        harness.hold()
    harness.wait(KEEP * 2)

    assert remove(harness) == 0
    assert {notice.body for notice in records.notices()}.isdisjoint({""})
    if keeps == "dead":
        with engine.begin() as connection:
            resolve(connection, records.notice(2).id, Resolution.RETRY, now=harness.now)
    elif keeps == "on hold":
        harness.release_ticket()
    assert "ticket_closed" in harness.claim_one().body
    harness.wait(HOUR)
    send(harness)
    assert remove(harness) == 0  # it is looked at again a day later
    harness.wait(LOOKED_AT_AGAIN)
    assert remove(harness) == 1
    assert {notice.body for notice in records.notices()} == {""}


@pytest.mark.usefixtures("partner")
def test_one_that_nothing_opened_keeps_what_comes_when_it_opens_after_all(harness, records):
    """It counts as over since its event was rejected; what it is sent later is new."""
    harness.say("ticket_rollback", "late")
    harness.wait(timedelta(hours=1))
    harness.end_windows()
    harness.wait(KEEP + HOUR)
    assert remove(harness) == 0

    harness.say("ticket_win", "late")
    send(harness)
    harness.wait(LOOKED_AT_AGAIN + HOUR)

    assert remove(harness) == 0
    assert records.ticket("late").bodies_removed_at is None
    assert [each.answer for each in records.attempts()] == [ANSWER]


def test_shorter_longer_and_taken_back_hold_from_the_next_round_on(harness, records):
    for ticket in ("A", "B"):
        live_and_close(harness, ticket)
        harness.wait(HOUR)
    harness.wait(KEEP)
    assert remove(harness) == 0  # kept as long as the tickets

    keep(harness, KEEP * 2)
    assert remove(harness) == 0
    keep(harness, KEEP + CLOSE_DELAY)
    assert remove(harness) == 1
    keep(harness, None)
    harness.wait(KEEP * 3)
    assert remove(harness) == 0
    assert records.ticket("A").bodies_removed_at is not None  # what is gone is gone
    assert records.ticket("B").bodies_removed_at is None
    keep(harness, KEEP)
    assert remove(harness) == 1


def test_a_term_that_grew_while_bodies_were_needed_is_kept(harness):
    keep(harness, HOUR)
    harness.say("ticket_win")
    send(harness)
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.wait(HOUR * 2)
    assert remove(harness) == 0
    send(harness)
    keep(harness, KEEP)
    harness.wait(KEEP - HOUR * 3)
    assert remove(harness) == 0

    harness.wait(HOUR * 3 + TOOK)

    assert remove(harness) == 1


def test_each_partner_has_a_share_of_a_batch(harness, records):
    """One with a backlog holds no other up, and one without the term loses nothing."""
    harness.add_operator("beta")
    harness.add_operator("gamma")
    for number in range(6):
        live_and_close(harness, f"A{number}")
    live_and_close(harness, "B", "beta")
    live_and_close(harness, "C", "gamma")
    harness.wait(KEEP + CLOSE_DELAY)
    keep(harness, KEEP)
    keep(harness, KEEP, "beta")

    assert remove(harness, limit=4) == 3
    assert records.ticket("B", operator="beta").bodies_removed_at == harness.now
    assert [remove(harness, limit=4) for _ in range(3)] == [2, 2, 0]
    assert records.ticket("C", operator="gamma").bodies_removed_at is None


@pytest.mark.usefixtures("partner")
def test_what_was_removed_is_not_sent_again_and_the_person_is_told_why(harness, records, engine):
    live_and_close(harness)
    harness.wait(KEEP + TOOK)
    remove(harness)

    with (
        pytest.raises(NotPossible, match=r"its body was removed .*\(keep_bodies\)") as refusal,
        engine.begin() as connection,
    ):
        send_notices_again(connection, records.notice(1).id, person=ANNA, now=harness.now)

    assert "tell the partner how the ticket stands" in str(refusal.value)
    assert (records.ticket().unfinished, len(records.notices())) == (0, 2)


@pytest.mark.usefixtures("partner")
def test_what_a_person_skipped_as_delivered_is_not_called_unsendable_afterwards(
    harness, records, engine
):
    """Its reason stays, and without a body it looks like a call that the protocol does not have."""
    harness.say("ticket_win")
    harness.deliver(Dead("409"))
    with engine.begin() as connection:
        resolve(connection, records.notice(1).id, Resolution.SKIP_DELIVERED, now=harness.now)
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.deliver()
    harness.wait(KEEP + TOOK)
    remove(harness)

    with (
        pytest.raises(NotPossible, match=r"ticket_win \(number 1\).* its body was removed"),
        engine.begin() as connection,
    ):
        send_again(connection, records.notice(1).id, now=harness.now)


@pytest.mark.usefixtures("partner")
def test_a_rollback_after_the_removal_is_refused_as_ever(harness, records):
    live_and_close(harness)
    harness.wait(KEEP + TOOK)
    remove(harness)

    assert harness.say("ticket_rollback") == {("ticket_rollback", "rejected"): 1}
    assert harness.say("ticket_win", event_id="again") == {("ticket_win", "rejected"): 1}
    assert len(records.notices()) == 2


@pytest.mark.usefixtures("partner")
def test_an_event_that_comes_again_is_still_a_duplicate(harness):
    """Events are not bodies: what counts once is compared as ever (rule 2)."""
    harness.say("ticket_open", event_id="open", **SLIP)
    harness.say("ticket_win", event_id="win")
    send(harness)
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    send(harness)
    harness.wait(KEEP + TOOK)
    assert remove(harness) == 1

    again = harness.say("ticket_open", event_id="open", at=harness.now, **SLIP)

    assert again == {("ticket_open", "duplicate"): 1}


@pytest.mark.usefixtures("partner")
def test_history_and_attempt_say_that_and_after_how_long_it_was_removed(harness, records, engine):
    live_and_close(harness)
    harness.wait(KEEP + HOUR / 2)
    remove(harness)

    with engine.connect() as connection:
        (history,) = load_histories(connection, "T")
        shown = find_attempt(connection, records.notice(1).id)
    assert shown is not None
    removed = history.ticket.bodies_removed
    assert removed is not None
    assert (removed.at, removed.words) == (harness.now, "removed after 30d")
    assert (shown.contents_gone, shown.answer) == ("removed after 30d", None)
    assert (shown.request.body, shown.request.curl) == (None, None)
    assert "Content-Length" not in dict(shown.request.headers)
    assert dict(shown.request.headers)["Idempotency-Key"] == "acme/T/ticket_win/1"


def test_the_tables_say_in_seconds_how_long(harness, engine: Engine):
    """A day is 24 hours, whatever the clocks of the session's time zone do."""
    keep(harness, KEEP)
    with engine.connect() as connection:
        stored = connection.execute(text("SELECT CAST(keep_bodies AS text) FROM operator"))
        assert stored.scalar_one() == "720:00:00"
