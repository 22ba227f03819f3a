"""Running tickets are imported in their state, once, and then follow the same rules."""

import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text
from sqlalchemy.event import listen, remove

from models.events.refusal import Refusal
from models.history import load_histories, why_not_closed
from models.operators.interventions import Person
from models.ticket_import.insert import ImportResult, import_tickets
from models.ticket_import.ticket_line import read_line
from tests.support.command_line import CommandLine
from tests.support.harness import CLOSE_DELAY, PARKING_WINDOW, SLIP, Harness
from tests.support.sources import ROOT

HOUR = timedelta(hours=1)
PERSON = Person("Ada", "move from the old system")


def resulted(harness: Harness, ticket_id: str = "T", **changed: object) -> dict[str, Any]:
    """A ticket whose win the partner took an hour ago."""
    line = {
        "operator": "acme",
        "ticket_id": ticket_id,
        "state": "resulted",
        "result": "won",
        "taken_at": (harness.now - HOUR).isoformat(),
        "data": {"ticket_code": f"CODE-{ticket_id}", "player_id": "player"},
    }
    return {name: value for name, value in {**line, **changed}.items() if value is not ...}


def opened(ticket_id: str = "T", **changed: object) -> dict[str, Any]:
    return {"operator": "acme", "ticket_id": ticket_id, "state": "open", **changed}


def imported(harness: Harness, *lines: dict[str, Any]) -> ImportResult:
    with harness.engine.begin() as connection:
        return import_tickets(
            connection,
            [read_line(line) for line in lines],
            person=PERSON,
            now=harness.now,
            parking_window=PARKING_WINDOW,
        )


def test_a_result_s_clock_runs_from_when_the_partner_took_it_and_nothing_is_sent(harness, records):
    result = imported(harness, resulted(harness))

    ticket = records.ticket()
    assert (result.imported, result.known, result.refused) == (1, 0, {})
    assert (ticket.status, ticket.result, ticket.generation) == ("resulted", "won", 1)
    assert ticket.close_due_at == harness.now - HOUR + CLOSE_DELAY
    assert ticket.details == {"ticket_code": "CODE-T", "player_id": "player"}
    assert harness.deliver() == []


def test_it_closes_when_the_delay_is_over_and_the_partner_is_told_that_alone(harness):
    imported(harness, resulted(harness))
    harness.wait(CLOSE_DELAY - HOUR - timedelta(microseconds=1))
    early = harness.close_due()
    harness.wait(timedelta(microseconds=1))

    assert (early, harness.close_due()) == (0, 1)
    assert harness.deliver() == [("T", "ticket_closed")]


def test_a_rollback_stops_the_clock_and_the_next_result_is_the_second(harness, records):
    imported(harness, resulted(harness))

    harness.say("ticket_rollback", at=harness.now - timedelta(minutes=1))

    assert records.ticket().close_due_at is None
    assert harness.deliver() == [("T", "ticket_rollback")]
    harness.say("ticket_lost")
    assert harness.deliver() == [("T", "ticket_lost")]
    assert (records.ticket().generation, records.ticket().result) == (2, "lost")
    assert records.ticket().close_due_at == harness.now + CLOSE_DELAY


def test_a_result_is_ordered_by_when_it_truly_happened(harness):
    """Rule 4: between the result and its success a rollback may have happened."""
    before = harness.now - 2 * HOUR
    imported(
        harness,
        resulted(harness, "told", settled_at=before.isoformat()),
        resulted(harness, "untold"),
    )
    between = before + timedelta(minutes=1)

    ended = [harness.say("ticket_rollback", name, at=between) for name in ("told", "untold")]

    assert [next(iter(ended_events))[1] for ended_events in ended] == ["applied", "superseded"]


def test_the_result_that_was_imported_is_confirmed_when_it_is_published_again(harness):
    imported(harness, resulted(harness, data={"gross_payout": 500}))

    same = harness.say("ticket_win", gross_payout=500)
    other = harness.say("ticket_win", gross_payout=501)

    assert [next(iter(ended_events))[1] for ended_events in (same, other)] == [
        "confirmed",
        "parked",
    ]
    assert harness.deliver() == []


def test_a_ticket_that_was_imported_keeps_its_currency(harness, records):
    imported(harness, resulted(harness, data={"currency": "EUR", "net_payout": 500}), opened("U"))
    imported(harness, opened("V", data={"currency": "EUR"}))

    harness.say("ticket_win", net_payout=500, currency="EUR")
    harness.say("ticket_win", net_payout=500, currency="USD")
    harness.say("ticket_win", "V", net_payout=500, currency="USD")

    assert [row.reason for row in records.events()] == ["same_result", "other_currency"]
    assert [row.reason for row in records.events("V")] == ["other_currency"]
    assert records.standing("V") == "open/pending"


ROUND = {"player_id": "p", "price": 500, "currency": "EUR", "game": "G", "game_id": "1"}


@pytest.fixture
def wallet(harness) -> str:
    """An operator with a seamless wallet."""
    harness.add_operator("wallet", protocol="seamless", announces_tickets=True)
    return "wallet"


def test_a_wallet_s_ticket_without_what_a_payout_needs_is_left_out(harness, wallet):
    """Else no result of it could ever be sent."""
    lacking = [
        {name: value for name, value in ROUND.items() if name != missing} for missing in ROUND
    ]
    lines = [
        *(opened(f"T-{place}", operator=wallet, data=data) for place, data in enumerate(lacking)),
        opened("blank", operator=wallet, data={**ROUND, "player_id": ""}),
        opened("gold", operator=wallet, data={**ROUND, "currency": "XAU"}),
        resulted(harness, "won", operator=wallet, data={}),
        opened("whole", operator=wallet, data=ROUND),
    ]

    result = imported(harness, *lines)

    needs = "a ticket of a seamless operator needs {}: a payout names them"
    everything = ", ".join(f"data.{name}" for name in ROUND)
    assert list(map(str, result.refused.values())) == [
        *(needs.format(f"data.{name}") for name in ROUND),
        needs.format("data.player_id"),
        "data.currency: 'XAU' is not an active currency of ISO 4217",
        needs.format(everything),
    ]
    assert result.imported == 1
    harness.say("ticket_lost", "whole", operator=wallet)
    assert harness.deliver() == [("whole", "ticket_lost")]


def test_a_wallet_s_ticket_is_never_reserved(harness, wallet):
    """Nothing could ever open it: `paid` does not exist for a wallet."""
    result = imported(harness, {**opened(operator=wallet, data=ROUND), "state": "reserved"})

    assert str(result.refused[0]) == (
        "state: a seamless wallet reserves nothing; the ticket is open once the wallet was debited"
    )


@pytest.mark.parametrize("result", ["ticket_win", "ticket_lost", "ticket_void", "ticket_refund"])
def test_a_result_of_a_ticket_that_lacks_them_says_so_and_is_sent_once_they_are_there(
    harness, records, engine, wallet, result
):
    """As an older release imported it."""
    payout = {"net_payout": 500} if result == "ticket_win" else {}
    imported(harness, opened("T", operator=wallet, data=ROUND))
    with engine.begin() as connection:
        connection.execute(text("UPDATE ticket SET details = '{}'"))

    harness.say(result, operator=wallet, **payout)
    (event,) = records.events(operator=wallet)
    assert (event.outcome, event.reason) == ("rejected", "missing_fields")
    assert event.message == (
        f"{result} for a seamless operator needs data.player_id, data.price, data.currency,"
        " data.game, data.game_id"
    )
    harness.say("ticket_open", operator=wallet, **ROUND)
    harness.say(result, operator=wallet, **payout)

    assert harness.deliver() == [("T", result)]
    assert records.rejected() == []


def test_the_same_file_again_changes_nothing_however_the_tickets_live_on(harness, records):
    imported(harness, resulted(harness), opened("U"))
    harness.say("ticket_rollback")
    harness.say("ticket_win", "U")
    before = [records.ticket("T"), records.ticket("U")]

    again = imported(harness, resulted(harness), opened("U"), opened("V"), opened("V"))

    assert (again.imported, again.known) == (1, 3)
    assert [records.ticket("T"), records.ticket("U")] == before


def test_what_waited_for_the_ticket_is_decided_with_it(harness, records):
    """Rule 5: the events of a running system may come before the file does."""
    harness.say("ticket_rollback", at=harness.now - timedelta(minutes=1))
    assert records.ticket().parked == 1

    imported(harness, resulted(harness))

    assert (records.ticket().status, records.ticket().parked) == ("open", 0)
    assert harness.deliver() == [("T", "ticket_rollback")]


def test_an_open_and_a_reserved_ticket_live_on(harness, records):
    imported(harness, opened("O", sequence=3), opened("R", state="reserved", data=dict(SLIP)))

    harness.say("ticket_win", "O", sequence=4)
    harness.say("ticket_paid", "R")

    assert harness.deliver() == [("O", "ticket_win")]
    assert records.ticket("R").status == "open"


def test_who_imported_it_and_why_belongs_to_the_ticket_s_history(harness):
    imported(harness, resulted(harness))

    with harness.engine.begin() as connection:
        (history,) = load_histories(connection, "T")

    (fact,) = history.interventions
    assert (fact.who, fact.why, fact.did) == ("Ada", PERSON.why, "ticket_imported")
    assert fact.facts["result"] == "won"
    assert why_not_closed(history, now=harness.now).startswith("resulted (won); closes at ")


def test_a_stranger_s_ticket_and_a_time_in_the_future_are_left_out(harness):
    later = (harness.now + HOUR).isoformat()

    result = imported(
        harness, opened("T", operator="nobody"), resulted(harness, "U", taken_at=later), opened("V")
    )

    assert result.imported == 1
    assert "there is no operator nobody" in str(result.refused[0])
    assert "is in the future" in str(result.refused[1])


def test_a_group_takes_a_handful_of_statements_however_large_it_is(harness):
    def statements(first: int, number: int) -> int:
        lines = [opened(f"T-{place}") for place in range(first, first + number)]
        seen: list[str] = []

        def note(_connection, _cursor, statement, *_rest: object) -> None:
            seen.append(statement)

        listen(harness.engine, "before_cursor_execute", note)
        imported(harness, *lines)
        remove(harness.engine, "before_cursor_execute", note)
        return len(seen)

    assert statements(0, 2) == statements(2, 500) <= 8


def test_the_page_s_lines_are_taken(harness):
    page = (ROOT / "producers/PUBLISH.md").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in page.splitlines() if '"state":' in line]

    assert imported(harness, *lines).imported == len(lines) == 2


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"state": "closed"}, "state: must be reserved, open or resulted"),
        ({"result": ...}, "a resulted ticket needs result and taken_at"),
        ({"taken_at": ...}, "import the ticket as open"),
        ({"state": "open"}, "any other has neither"),
        ({"taken_at": "2026-11-20T10:00:00"}, "taken_at: must be RFC 3339"),
        ({"taken_at": "2026-02-30T10:00:00Z"}, "taken_at: there is no day 30"),
        ({"data": {"netPayout": 5}}, "data.netPayout: is not known here; did you mean net_payout"),
        ({"ticket_id": "a b"}, "ticket_id: "),
        ({"ticket_id": "Jose\u0301"}, "ticket_id: must be in Unicode's form NFC"),
        ({"data": {"ticket_code": "Jose\u0301"}}, "data.ticket_code: must be in Unicode's form"),
        ({"colour": "red"}, "colour: "),
        ({"data": {"price": 5.5}}, "data.price: "),
        ({"data": {"note": "\x00"}}, "NUL"),
        ({"data": {"note": ["\ud800"]}}, "data.note: holds half of a surrogate pair"),
    ],
    ids=lambda value: json.dumps(value, default=str)[:40] if isinstance(value, dict) else "",
)
def test_a_line_that_cannot_be_taken_says_why(harness, changed, problem):
    with pytest.raises(Refusal, match=problem):
        read_line(resulted(harness, **changed))


def test_money_is_a_whole_number_however_it_is_written(harness):
    line = resulted(harness, data={"price": 500.0, "gross_payout": 7e2})

    ticket = read_line(line)

    assert json.dumps(ticket.facts) == '{"price": 500, "gross_payout": 700}'


def test_the_command_imports_what_it_can_and_tells_the_rest(
    monkeypatch, capsys, harness, database, redis_url
):
    slipway = CommandLine(monkeypatch, capsys)
    key = Fernet.generate_key().decode()
    slipway.export(database_url=database, redis_url=redis_url, secret_key=key)
    won = {**resulted(harness), "taken_at": "2026-01-01T00:00:00Z"}
    lines = "".join(json.dumps(line) + "\n" for line in (won, {"state": "open"}, opened("U")))

    command_line = ("import", "-", "--by", "Ada", "--why", "we move", "--json")
    first = slipway(*command_line, stdin=lines.encode())
    again = slipway(*command_line, stdin=json.dumps(opened("U")).encode())

    assert first.code == 1
    assert (first.document()["imported"], first.document()["bad_lines"][0]["line"]) == (2, 2)
    assert "the first is line 2" in first.err
    assert (again.code, again.document()) == (0, {"imported": 0, "known": 1, "bad_lines": []})
    with harness.engine.begin() as connection:
        kept = connection.execute(text("SELECT who, why FROM intervention")).all()
    assert kept == [("Ada", "we move")] * 2
