"""Rule 25: what identifies a player is blanked everywhere once no open ticket needs it."""

import base64
import json
from typing import Any

import pytest
from sqlalchemy import Engine, text

from models.erasure import advance_erasure, list_erasures, player_fingerprints, report_erasure
from models.erasure.blank import blank_tickets
from models.erasure.names import PlayerName
from models.events.kept_data import kept_data
from models.history.load import load_histories
from models.jobs import list_jobs, stop_job
from models.operators import OperatorNotFound
from models.operators.interventions import Change, Person, record_intervention
from models.outbox.dead_letters import NotPossible
from models.outbox.values import Attempt, Dead, RetryLater
from models.platform.errors import InvalidError
from models.players import erase_player
from models.vocabulary import ErasurePhase, JobState
from tests.support.erasing import ANNA, KEYS, PLAYER, advance, as_stored, begin, held, run_job, step
from tests.support.harness import CLOSE_DELAY, OPERATOR, SLIP, TOOK, Harness

OURS = {**SLIP, "player_id": PLAYER, "nickname": PLAYER, "ticket_code": "C1"}
UNDER_WAY = {"erasure.player_id"}
EVENT_DATA = text("SELECT data FROM ticket_event ORDER BY arrival")
ALL_INPUT = text(
    "SELECT raw, whole, message, dropped_at IS NOT NULL AS resolved FROM rejected_input ORDER BY id"
)


@pytest.fixture
def harness(harness: Harness) -> Harness:
    """A closed ticket of the player, and a closed one of somebody else."""
    for ticket, player in (("T", PLAYER), ("O", "somebody")):
        harness.say(
            "ticket_open",
            ticket,
            event_id="open",
            **{**OURS, "player_id": player} if ticket == "T" else {**SLIP, "player_id": player},
        )
        harness.say("ticket_win", ticket, event_id="win", net_payout=1145)
    answer = f'{{"player":"{PLAYER}"}}'
    claims = harness.claim()
    harness.record_attempts(
        *(
            Attempt(
                claim,
                RetryLater(TOOK),
                TOOK,
                http_status=503,
                answer=answer,
                problem=f"no {PLAYER}",
                remarks={"who": PLAYER},
            )
            for claim in claims
            if claim.ticket_id == "T"
        ),
        *(Attempt(claim, RetryLater(TOOK), TOOK) for claim in claims if claim.ticket_id == "O"),
    )
    harness.wait(TOOK)
    harness.deliver()
    close(harness)
    return harness


def close(harness: Harness) -> None:
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.deliver()


def rows(engine: Engine, query: str) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(text(query)).all())


def test_nothing_names_the_player_of_a_closed_ticket_any_more(harness, engine):
    assert {"ticket.details", "delivery_attempt.answer"} <= set(held(engine))

    erasure = advance(harness, begin(harness))

    assert erasure.phase is ErasurePhase.DONE
    assert held(engine) == {}
    assert erasure.counts == {"tickets": 1, "events": 2, "notices": 2, "attempts": 1}
    assert held(engine, "somebody") == {"ticket.details": 1}


def test_money_and_the_ticket_s_state_stay(harness, engine, records):
    before = records.ticket()
    advance(harness, begin(harness))
    after = records.ticket()

    changed = {name for name in before._fields if getattr(before, name) != getattr(after, name)}
    assert changed == {"details", "erased_at"}
    assert after.erased_at == harness.now
    records.check()
    assert after.details == {
        name: value
        for name, value in SLIP.items()
        if name not in ("ticket_code", "player_id", "ext_type", "ticket_type")
    }
    with engine.connect() as connection:
        (history,) = load_histories(connection, "T")
    opened, won = (event.data for event in history.events)
    assert opened == {"operator": OPERATOR, "ticket_id": "T", **after.details}
    assert won == {"operator": OPERATOR, "ticket_id": "T", "net_payout": 1145}


DATA: dict[str, Any] = {
    "operator": OPERATOR,
    "ticket_id": "T",
    "price": 500,
    "wht": 12.5,
    "stake": None,
    "currency": "EUR",
    "ext_type": "inclusive",
    "feature_buy": True,
    "correction": False,
    "net_payout": "a name",
    "meta": {"email": "a@b"},
    "reason": "Anna asked",
    "tall": 180,
}


@pytest.mark.parametrize("data", [DATA, {**DATA, "currency": "eur", "operator": 7}, {}])
def test_the_database_keeps_what_kept_data_keeps(harness, engine, records, data):
    change = text("UPDATE ticket_event SET data = CAST(:data AS jsonb) WHERE event_id = 'open'")
    with engine.begin() as connection:
        connection.execute(change, {"data": json.dumps(data)})
        blank_tickets(connection, [records.ticket().id], PlayerName(PLAYER), now=harness.now)
        kept = connection.execute(EVENT_DATA).scalars().first()

    assert kept == kept_data(data) == kept_data(kept)


@pytest.mark.parametrize("damaged", ["7", "[]", '"text"', "null"])
def test_a_damaged_row_is_blanked_too(harness, engine, damaged):
    with engine.begin() as connection:
        change = text("UPDATE ticket_event SET data = CAST(:data AS jsonb)")
        connection.execute(change, {"data": damaged})

    advance(harness, begin(harness))

    assert rows(
        engine,
        "SELECT DISTINCT data FROM ticket_event e JOIN ticket t ON t.id = e.ticket"
        " WHERE t.ticket_id = 'T'",
    ) == [({},)]


def test_a_repeat_of_an_erased_event_is_a_duplicate_and_other_money_is_not(harness, records):
    advance(harness, begin(harness))

    assert harness.say("ticket_open", event_id="open", **OURS) == {("ticket_open", "duplicate"): 1}
    assert harness.say("ticket_win", event_id="win", net_payout=1145) == {
        ("ticket_win", "duplicate"): 1
    }
    assert harness.say("ticket_win", event_id="win", net_payout=9) == {
        ("ticket_win", "rejected"): 1
    }
    assert harness.say("ticket_lost", event_id="win") == {("ticket_lost", "rejected"): 1}
    assert [row.reason for row in records.rejected()] == ["event_id_reused"] * 2
    assert records.standing() == "closed/won"


def test_what_arrives_about_an_erased_ticket_is_stored_without_the_player(harness, engine, records):
    advance(harness, begin(harness))

    harness.say("ticket_update", event_id="late", **OURS)

    assert records.event("late").outcome == "rejected"
    assert held(engine) == {}


def test_an_open_ticket_is_erased_when_it_ends(harness, engine, records):
    harness.say("ticket_create", "N", **OURS)
    harness.say("ticket_win", "N")
    erasure = begin(harness)

    assert advance(harness, erasure).phase is ErasurePhase.WAITING
    with engine.connect() as connection:
        report = report_erasure(connection, erasure)
    assert [(ticket.ticket_id, ticket.status) for ticket in report.waiting] == [("N", "new")]
    assert records.notice_actions("N") == ["ticket_create"]
    assert PLAYER in rows(engine, "SELECT body FROM notice WHERE action = 'ticket_create'")[0].body
    harness.deliver()
    harness.deliver()
    assert advance(harness, erasure).phase is ErasurePhase.WAITING
    close(harness)
    assert advance(harness, erasure).phase is ErasurePhase.DONE
    assert held(engine) == {}
    assert records.standing("N") == "closed/won"


def test_a_dead_notice_keeps_its_ticket_until_a_person_resolves_it(harness, engine, records):
    harness.say("ticket_create", "D", **OURS)
    harness.deliver(Dead("no"))
    harness.deliver(Dead("gone"))
    erasure = begin(harness)

    assert advance(harness, erasure).phase is ErasurePhase.WAITING
    assert records.ticket("D").unfinished == 1


def test_events_that_name_the_player_on_a_ticket_that_does_not_are_found(harness, engine):
    harness.say("ticket_rollback", "O", event_id="other", note={"who": PLAYER})
    harness.say("ticket_rollback", "O", event_id="game", game=PLAYER[:4])

    erasure = advance(harness, begin(harness), limit=1)

    assert erasure.counts["tickets"] == 2
    assert held(engine) == {}


def test_a_game_that_reads_like_the_player_is_no_player(harness, engine, records):
    harness.say("ticket_open", "G", game=PLAYER)

    advance(harness, begin(harness))

    assert records.ticket("G").erased_at is None
    assert set(held(engine)) == {"ticket.details"}


def celery(harness: Harness) -> bytes:
    kwargs = {"operator": OPERATOR, "ticket_id": "X", "player_id": PLAYER}
    body = base64.b64encode(json.dumps([[], kwargs, {}]).encode()).decode()
    return json.dumps({"body": body, "headers": {"task": "ticket_wine"}}).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"{" + PLAYER.encode(),
        json.dumps({"note": f"player {PLAYER} phoned"}).encode(),
        json.dumps({"user_id": PLAYER})[:-1].encode(),
        PLAYER.encode("utf-16-le"),
        celery,
    ],
)
def test_input_that_nobody_could_read_is_blanked_and_leaves_the_list(harness, engine, raw):
    harness.publish(harness.raw(raw(harness) if callable(raw) else raw), harness.raw(b"{other"))

    erasure = advance(harness, begin(harness))

    assert erasure.counts["inputs"] == 1
    with engine.connect() as connection:
        blanked, other = connection.execute(ALL_INPUT).all()
    assert (bytes(blanked.raw), blanked.whole, blanked.resolved) == (b"", False, True)
    assert (bytes(other.raw), other.resolved) == (b"{other", False)


def test_input_about_an_open_ticket_can_be_retried_until_the_ticket_ends(harness, engine):
    harness.say("ticket_open", "S", player_id="somebody")
    harness.say("ticket_wine", "S", player_id=PLAYER)
    erasure = begin(harness)

    assert advance(harness, erasure).phase is ErasurePhase.WAITING
    assert set(held(engine)) == {"rejected_input.raw", *UNDER_WAY}
    harness.say("ticket_lost", "S")
    harness.deliver()
    close(harness)
    advance(harness, erasure)
    assert held(engine) == {}
    assert set(held(engine, "somebody")) == {"ticket.details"}


def test_other_operators_players_of_the_same_id_are_not_touched(harness, engine):
    harness.add_operator("beta")
    harness.say("ticket_open", "B", operator="beta", **OURS)
    harness.say("ticket_wine", "B", operator="beta", **OURS)
    before = held(engine)

    advance(harness, begin(harness, operator="beta"))
    advance(harness, begin(harness))

    with engine.connect() as connection:
        assert [each.phase for each in list_erasures(connection)] == ["done", "waiting"]
    assert before["rejected_input.raw"] == held(engine)["rejected_input.raw"] == 1
    assert held(engine)["ticket.details"] == 1


def test_what_people_wrote_about_the_player_is_blanked_and_who_did_what_stays(
    harness, engine, records
):
    with engine.begin() as connection:
        ours = Change("notice_skipped", OPERATOR, records.ticket().id, {"event_id": "win"})
        note = Change("looked_at", OPERATOR, None, {"filter": {"player": PLAYER}, "rows": 3})
        other = Change("operator_changed", OPERATOR, None, {"rate": 5})
        for change, why in ((ours, "she phoned"), (note, "a request"), (other, "too slow")):
            record_intervention(connection, change, person=Person("bert", why), at=harness.now)

    erasure = advance(harness, begin(harness))

    assert erasure.counts["interventions"] == 2
    assert rows(
        engine, "SELECT who, why, did, facts FROM intervention WHERE who = 'bert' ORDER BY id"
    ) == [
        ("bert", "(erased)", "notice_skipped", {"event_id": "win"}),
        ("bert", "(erased)", "looked_at", {"filter": {"player": "(erased)"}, "rows": 3}),
        ("bert", "too slow", "operator_changed", {"rate": 5}),
    ]


def test_the_record_of_an_erasure_recognises_the_player_without_naming_him(harness, engine):
    person = Person("anna", f"player {PLAYER} asked")
    advance(harness, begin(harness, person=person))

    mine = player_fingerprints(KEYS, operator=OPERATOR, player_id=PLAYER)
    other = player_fingerprints(KEYS, operator=OPERATOR, player_id="somebody")
    assert held(engine) == {}
    with engine.connect() as connection:
        (erasure,) = list_erasures(connection, fingerprints=mine)
        assert list_erasures(connection, fingerprints=other) == []
    assert erasure.fingerprint == mine[0] != mine[1]
    assert rows(engine, "SELECT who, why, facts ->> 'player' FROM intervention") == [
        ("anna", "(erased)", mine[0])
    ]


def test_the_job_carries_it_on_and_ends_with_it(harness, engine):
    harness.say("ticket_open", "N", **OURS)
    erasure = begin(harness)
    run_job(harness)

    with engine.connect() as connection:
        (job,) = list_jobs(connection)
    assert (job.state, job.done, job.message) == (JobState.RUNNING, 1, "waits for 1 ticket to end")
    harness.say("ticket_lost", "N")
    harness.deliver()
    close(harness)
    run_job(harness)
    with engine.connect() as connection:
        (job,) = list_jobs(connection)
    assert (job.state, job.done) == (JobState.DONE, 2)
    assert as_stored(engine, erasure).phase is ErasurePhase.DONE
    assert held(engine) == {}


def test_a_second_request_is_refused_while_the_first_runs_and_continues_a_stopped_one(
    harness, engine
):
    harness.say("ticket_open", "N", **OURS)
    erasure = begin(harness)
    run_job(harness)
    with pytest.raises(NotPossible, match=f"is being erased already: erasure {erasure}, job"):
        begin(harness)
    with engine.begin() as connection:
        stop_job(connection, list_jobs(connection)[0].id, person=ANNA, now=harness.now)

    assert begin(harness) == erasure


@pytest.mark.parametrize("player", ["", "  ", "x" * 256, "a\x00b"])
def test_what_can_be_no_player_is_refused(harness, player):
    with pytest.raises(InvalidError, match="has 1 to 255 characters"):
        begin(harness, player)


def test_an_operator_that_does_not_exist_is_refused(harness, engine):
    with pytest.raises(OperatorNotFound), engine.begin() as connection:
        erase_player(connection, "acm", PLAYER, keys=KEYS, person=ANNA, now=harness.now)


def test_a_ticket_that_retention_removed_is_not_waited_for(harness, engine, records):
    harness.say("ticket_open", "N", **OURS)
    erasure = begin(harness)
    advance(harness, erasure)
    with engine.begin() as connection:
        row = {"ticket": records.ticket("N").id}
        connection.execute(text("DELETE FROM ticket_event WHERE ticket = :ticket"), row)
        connection.execute(text("DELETE FROM ticket WHERE id = :ticket"), row)
    harness.wait(CLOSE_DELAY)

    assert advance(harness, erasure).phase is ErasurePhase.DONE


def test_a_batch_that_dies_is_done_again(harness, engine):
    erasure = begin(harness)
    for _ in range(300):
        with engine.connect() as connection:  # dies: never committed
            advance_erasure(connection, erasure, now=harness.now, limit=1)
            connection.rollback()
        if step(harness, erasure, limit=1).phase is ErasurePhase.DONE:
            break

    assert as_stored(engine, erasure).counts == {
        "tickets": 1,
        "events": 2,
        "notices": 2,
        "attempts": 1,
    }
    assert held(engine) == {}
