"""Rule 29: a ticket that ended and was removed is not opened, and not paid, a second time."""

import json
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from models.events.kept_data import kept_data
from models.operators.interventions import Person
from models.outbox.dead_letters import NotPossible
from models.outbox.values import Dead
from models.sweeps.retention import remove_expired
from models.ticket_import.insert import import_tickets
from models.ticket_import.ticket_line import read_line
from models.triage import HoldRefused, Statement, publish_by_hand
from models.vocabulary import Action, Reason
from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.erasing import advance, begin
from tests.support.harness import CLOSE_DELAY, OPERATOR, PARKING_WINDOW, SLIP, Harness
from tests.support.lottery import TICKET, lottery_entry, settlement
from tests.support.plans import plans_of, touched_by

RETENTION = timedelta(days=90)
PERSON = Person("anna", "the player asks")
TOMBSTONES = text("""
    SELECT o.code, r.ticket_id, r.ended_at, r.erased
      FROM tombstone r JOIN operator o ON o.id = r.operator ORDER BY o.code, r.ticket_id""")
PER_DRAW = text("UPDATE operator SET lottery_ticket = 'ticket+draw'")
ANNOUNCED = text("UPDATE operator SET announces_tickets = true")
MANY = 10_000
FILL = text("""
    INSERT INTO tombstone (operator, ticket_id, ended_at)
    SELECT id, 1330556611374148608 + n, now() FROM operator, generate_series(1, :many) AS n""")
SIZES = text("""
    SELECT (SELECT max(pg_column_size(r.*)) FROM tombstone r) AS row,
           pg_relation_size('tombstone') / count(*) AS in_table,
           pg_relation_size('tombstone_pkey') / count(*) AS in_key
      FROM tombstone""")


def remove(harness: Harness) -> int:
    harness.wait(RETENTION + timedelta(days=1))
    with harness.engine.begin() as connection:
        return remove_expired(connection, before=harness.now - RETENTION, limit=100)


def close(harness: Harness) -> None:
    """What has a result is delivered and closes, and the closing is delivered."""
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.deliver()


def tombstones(engine: Engine) -> list[tuple[object, ...]]:
    with engine.begin() as connection:
        return [tuple(row) for row in connection.execute(TOMBSTONES)]


@pytest.fixture
def removed(harness: Harness) -> Harness:
    """A ticket that was won, closed and removed."""
    harness.say("ticket_win", event_id="win")
    close(harness)
    assert remove(harness) == 1
    return harness


def test_a_closed_ticket_leaves_who_it_was_and_when_it_ended(harness, engine):
    harness.say("ticket_win")
    close(harness)
    ended = harness.now
    remove(harness)

    assert tombstones(engine) == [(OPERATOR, "T", ended, None)]


@pytest.mark.parametrize("announced", [False, True], ids=["implicit", "announced"])
def test_whatever_comes_about_it_is_rejected_and_nothing_is_sent(
    removed, records, engine, announced
):
    """A repeat, another result, a correction, a new placement: none opens it again."""
    if announced:
        with engine.begin() as connection:
            connection.execute(ANNOUNCED)
    repeat = removed.event("ticket_win", event_id="win")
    applied = removed.publish(
        repeat,
        removed.event("ticket_win", event_id="other"),
        removed.event("ticket_lost", correction=True),
        removed.event("ticket_rollback"),
        removed.event("ticket_open"),
        removed.event("ticket_create", **SLIP),
        removed.event("ticket_discard"),
    )

    assert applied.rejected == {(Reason.TICKET_REMOVED, "stream"): 7}
    assert {outcome for _, outcome in applied.outcomes} == {"rejected"}
    assert not applied.due
    assert (records.tickets(), removed.claim()) == ([], [])
    refused = records.rejected()
    assert {row.reason for row in refused} == {"ticket_removed"}
    assert {(row.operator, row.ticket_id) for row in refused} == {(OPERATOR, "T")}
    assert refused[0].event_id == "win"
    assert bytes(refused[0].raw) == repeat.fields[b"event"]
    assert "ticket T of acme ended at" in refused[0].message


def test_other_tickets_of_its_batch_are_applied(removed, records):
    removed.say("ticket_open", "known")
    applied = removed.publish(
        removed.event("ticket_win", "T"),
        removed.event("ticket_win", "new"),
        removed.event("ticket_win", "known"),
    )

    assert applied.outcomes == {("ticket_win", "applied"): 2, ("ticket_win", "rejected"): 1}
    assert records.tickets() == ["known", "new"]


def test_the_same_id_of_another_operator_is_another_ticket(removed, records):
    removed.add_operator("other")
    removed.say("ticket_win", operator="other")

    assert records.standing(operator="other") == "resulted/won"


def test_a_cancelled_ticket_leaves_one_too(harness, engine, records):
    """Its partner refused the create: a result must not open it now."""
    harness.say("ticket_create", **SLIP)
    harness.deliver(Dead("400"))
    harness.deliver()
    assert records.standing() == "cancelled/pending"
    remove(harness)
    outcomes = harness.say("ticket_win")

    assert [row[:2] for row in tombstones(engine)] == [(OPERATOR, "T")]
    assert (outcomes, records.tickets()) == ({("ticket_win", "rejected"): 1}, [])


def test_what_nothing_opened_leaves_none_and_a_late_placement_opens_it(harness, engine, records):
    """Its partner was sent nothing, so nothing can be paid twice."""
    harness.say("ticket_rollback", event_id="early")
    harness.wait(PARKING_WINDOW)
    harness.end_windows()
    assert remove(harness) == 1
    assert tombstones(engine) == []

    harness.say("ticket_open")
    harness.say("ticket_win")

    assert records.standing() == "resulted/won"


def test_each_draw_of_a_lottery_ticket_is_removed_for_itself(harness, engine, records):
    with engine.begin() as connection:
        connection.execute(PER_DRAW)

    def settle(draw: str, number: int) -> None:
        raw = settlement(draw_id=draw, timestamp=harness.now.isoformat())
        entry_id = f"{int(harness.now.timestamp() * 1000)}-{number}"
        harness.publish(lottery_entry(raw, operator=OPERATOR, entry_id=entry_id))

    settle("1", 1)
    close(harness)
    remove(harness)
    settle("1", 2)
    settle("2", 3)

    assert [row[1] for row in tombstones(engine)] == [f"{TICKET}.1"]
    assert records.tickets() == [f"{TICKET}.2"]
    assert [row.reason for row in records.rejected()] == ["ticket_removed"]


def test_of_an_erased_player_only_what_is_about_money_is_stored(harness, engine, records):
    """Rule 25: as long as the ticket was there, what came about it was stored so too."""
    player = {"player_id": "p-77", "reason": "p-77 called"}
    harness.say("ticket_win", **player, net_payout=5)
    close(harness)
    erasure = begin(harness, "p-77")
    advance(harness, erasure)
    remove(harness)
    data = {"operator": OPERATOR, "ticket_id": "T", "net_payout": 7, **player}
    harness.say("ticket_lost", event_id="late", net_payout=7, **player)

    assert [row[3] for row in tombstones(engine)] == [True]
    (refused,) = records.rejected()
    stored = json.loads(bytes(refused.raw))
    assert (stored["event_id"], stored["action"]) == ("late", "ticket_lost")
    assert datetime.fromisoformat(stored["occurred_at"]) == harness.now
    assert stored["data"] == kept_data(data)
    assert stored["data"]["net_payout"] == 7
    assert "p-77" not in bytes(refused.raw).decode() + refused.message
    assert (refused.reason, refused.event_id, refused.whole) == ("ticket_removed", "late", True)


def test_where_the_partnership_has_ended_that_is_the_reason(removed, records):
    """Rule 24: it says more."""
    removed.end_partnership()
    removed.say("ticket_win")

    assert [row.reason for row in records.rejected()] == ["operator_ended"]


def test_tickets_that_the_end_of_a_partnership_ended_leave_one(harness, engine):
    harness.say("ticket_open", "open")
    harness.say("ticket_win", "won")
    harness.end_partnership()
    while harness.end_tickets():
        pass
    remove(harness)

    assert [row[1] for row in tombstones(engine)] == ["open", "won"]


# --- people ---------------------------------------------------------------------------------------


def test_nobody_imports_it_again(removed, engine, records):
    line = {"operator": OPERATOR, "state": "open"}
    tickets = [read_line({**line, "ticket_id": name}) for name in ("T", "other")]
    with engine.begin() as connection:
        result = import_tickets(
            connection, tickets, person=PERSON, now=removed.now, parking_window=PARKING_WINDOW
        )

    assert (result.imported, result.known) == (1, 0)
    assert [(place, why.reason) for place, why in result.refused.items()] == [(0, "ticket_removed")]
    assert records.tickets() == ["other"]


def test_nobody_publishes_by_hand_or_holds_it(removed, engine):
    with (
        engine.begin() as connection,
        pytest.raises(NotPossible, match=r"ticket_removed: ticket T of acme ended at .* removed"),
    ):
        publish_by_hand(
            connection,
            OPERATOR,
            "T",
            Statement(Action.WIN),
            person=PERSON,
            now=removed.now,
            window=PARKING_WINDOW,
        )
    with pytest.raises(HoldRefused, match=r"ticket T of acme ended at .* and was removed"):
        removed.hold()


# --- races ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["commits", "dies"])
def test_an_event_that_waits_for_the_removal_learns_of_it(harness, records, engine, ends):
    """E1: it had found the ticket, and waits for its lock, or to insert its row."""
    harness.say("ticket_win")
    close(harness)
    harness.wait(RETENTION + timedelta(days=1))
    with engine.connect() as removal:
        assert remove_expired(removal, before=harness.now - RETENTION, limit=100) == 1
        with beside(lambda: harness.publish(harness.event("ticket_rollback"))) as applied:
            waiting_sessions(engine)
            removal.commit() if ends == "commits" else removal.rollback()
            rejected = applied.result().rejected

    reason = Reason.TICKET_REMOVED if ends == "commits" else Reason.TICKET_CLOSED
    assert rejected == {(reason, "stream"): 1}
    assert records.tickets() == ([] if ends == "commits" else ["T"])


def test_an_event_that_waits_for_the_removal_of_what_nothing_opened_begins_it(
    harness, records, engine
):
    harness.say("ticket_rollback", event_id="early")
    harness.wait(PARKING_WINDOW)
    harness.end_windows()
    harness.wait(RETENTION + timedelta(days=1))
    with engine.connect() as removal:
        assert remove_expired(removal, before=harness.now - RETENTION, limit=100) == 1
        with beside(lambda: harness.publish(harness.event("ticket_win"))) as applied:
            waiting_sessions(engine)
            removal.commit()
            assert applied.result().outcomes == {("ticket_win", "applied"): 1}

    assert records.outcomes() == [("ticket_win", "applied")]


def test_a_ticket_that_an_event_has_locked_is_removed_later_with_that_event(harness, engine):
    """Rule 20: what is logged while the removal begins is not left behind."""
    harness.say("ticket_win")
    close(harness)
    harness.wait(RETENTION + timedelta(days=1))
    with engine.connect() as first:
        harness.apply_within(first, harness.event("ticket_rollback"))
        with engine.begin() as removal:
            assert remove_expired(removal, before=harness.now - RETENTION, limit=100) == 0
        first.commit()

    with engine.begin() as removal:
        assert remove_expired(removal, before=harness.now - RETENTION, limit=100) == 1


# --- what it costs --------------------------------------------------------------------------------


def test_it_takes_sixty_bytes_and_its_key_forty_two(harness, engine):
    """For ids of 19 characters that grow with time."""
    with engine.begin() as connection:
        connection.execute(FILL, {"many": MANY})
        sizes = connection.execute(SIZES).one()

    assert (sizes.row, sizes.in_table, sizes.in_key) <= (56, 60, 42)


def test_a_batch_asks_by_the_key_and_only_for_tickets_that_it_does_not_find(harness, engine):
    harness.say("ticket_open", "known")
    with engine.begin() as connection:
        connection.execute(FILL, {"many": MANY})
    known = [harness.event("ticket_update", "known", **SLIP) for _ in range(20)]
    late = [harness.event("ticket_win", str(1330556611374148608 + n)) for n in range(1, 21)]
    new = [harness.event("ticket_win", f"new{n}") for n in range(20)]
    with engine.connect() as connection:
        of_known = touched_by(connection, lambda: harness.apply_within(connection, *known))
        others = touched_by(connection, lambda: harness.apply_within(connection, *late, *new))
        connection.rollback()
        plans = plans_of(connection, lambda: harness.apply_within(connection, *late, *new))

    assert (of_known.by_index["tombstone"], of_known.one_by_one["tombstone"]) == (0, 0)
    assert (others.by_index["tombstone"], others.one_by_one["tombstone"]) == (20, 0)
    assert "tombstone_pkey" in plans.indexes
    assert "tombstone" not in plans.whole_tables
