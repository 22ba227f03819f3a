"""One text finds whatever it is the id of; each look-up reads what it shows."""

import json
from collections.abc import Iterator

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Connection, Engine, text

from models.operators import OperatorNotFound
from models.search import MatchKind, SearchResult, search
from models.search.find import SHOWN_MAX
from tests.support.command_line import CommandLine
from tests.support.harness import SLIP, Harness
from tests.support.manual_clock import ManualClock
from tests.support.many_tickets import UNCHECKED
from tests.support.plans import Plans, plans_of, touched_by

BIG = {"ticket", "ticket_event", "notice", "rejected_input"}
WALLET = {"game": "dice", "game_id": "D1"}
MANY = text("""
    INSERT INTO ticket (operator, ticket_id, status, details)
    SELECT 1 + n % 3, 'M' || n, 'open',
           jsonb_build_object('ticket_code', 'C' || n, 'player_id', 'P' || n % 10)
      FROM generate_series(1, 6000) AS n""")
MANY_NOTICES = text("""
    INSERT INTO notice (ticket, operator, number, action, generation, path, body, head, due_at,
                        created_at)
    SELECT id, operator, 1, 'ticket_win', 1, '/payout',
           '{"transactionId":"' || gen_random_uuid() || '"}', true, now(), now()
      FROM ticket WHERE ticket_id LIKE 'M%'""")
MANY_EVENTS = text("""
    INSERT INTO ticket_event (ticket, event_id, action, order_time, received_at, outcome,
                              status_before, status_after, decided_at)
    SELECT id, k, 'ticket_win', now(), now(), 'applied', 'open', 'open', now()
      FROM ticket, unnest(ARRAY['same', 'e' || id]) AS k WHERE ticket_id LIKE 'M%'""")
MANY_RAW = text("""
    INSERT INTO rejected_input (entry_id, raw, whole, reason, message, event_id, received_at)
    SELECT n || '-0', '', true, 'not_json', '', 'r' || n, now()
      FROM generate_series(1, 3000) AS n""")
KEY = text("SELECT body::jsonb ->> 'transactionId', id FROM notice WHERE path <> '' LIMIT 1")


@pytest.fixture
def harness(engine: Engine) -> Harness:
    return a_few_tickets(engine)


def a_few_tickets(engine: Engine) -> Harness:
    """Two PAM partners with a ticket of the same id, and a wallet."""
    harness = Harness(engine, ManualClock())
    harness.add_operator("acme")
    harness.add_operator("beta")
    harness.add_operator("wallet", protocol="seamless", announces_tickets=True)
    for operator in ("acme", "beta"):
        harness.say("ticket_open", "T1", operator=operator, event_id="opened", **SLIP)
        harness.say("ticket_win", "T1", operator=operator, event_id=f"won-{operator}")
    harness.say("ticket_open", "W1", operator="wallet", **{**SLIP, **WALLET, "player_id": "w"})
    harness.say("ticket_win", "W1", operator="wallet")
    return harness


@pytest.fixture
def connection(harness: Harness) -> Iterator[Connection]:
    with harness.engine.connect() as opened:
        yield opened


def by_kind(result: SearchResult) -> dict[str, list[tuple[str | None, str | None]]]:
    return {
        str(group.kind): [(line.operator, line.ticket_id) for line in group.lines]
        for group in result.kinds
    }


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        ("T1", {"ticket": [("beta", "T1"), ("acme", "T1")]}),
        ("CODE", {"code": [("wallet", "W1"), ("beta", "T1"), ("acme", "T1")]}),
        ("player", {"player": [("beta", "T1"), ("acme", "T1")]}),
        ("opened", {"event": [("beta", "T1"), ("acme", "T1")]}),
        ("won-acme", {"event": [("acme", "T1")]}),
        ("acme/T1/ticket_win/1", {"key": [("acme", "T1")]}),
        ("acme T1 ticket_win 1", {"key": [("acme", "T1")]}),
        ("acme/T1/ticket_win/2", {}),
        ("nobody", {}),
    ],
)
def test_a_text_finds_what_it_is_the_id_of(connection, wanted, kinds):
    assert by_kind(search(connection, f' "{wanted}" ')) == kinds


def test_a_wallet_s_transaction_id_finds_its_notice(connection):
    transaction, notice = connection.execute(KEY).one()

    for wanted in (transaction, transaction.upper()):
        (group,) = search(connection, wanted).kinds
        assert group.kind is MatchKind.TRANSACTION
        assert [(line.notice, line.ticket_id) for line in group.lines] == [(notice, "W1")]
    assert search(connection, transaction, operator="acme").kinds == ()


def test_a_notice_is_found_by_its_number_and_stays_its_operator_s(connection):
    _, notice = connection.execute(KEY).one()

    assert by_kind(search(connection, str(notice))) == {"notice": [("wallet", "W1")]}
    assert search(connection, str(notice), operator="beta").kinds == ()


def test_input_that_was_rejected_is_found_by_its_entry_and_its_event(harness, connection):
    entry = harness.event("ticket_wine", event_id="odd")
    harness.publish(entry)

    assert by_kind(search(connection, entry.id)) == {"input": [("acme", "T")]}
    assert by_kind(search(connection, "odd")) == {"event": [("acme", "T")]}


def test_an_operator_narrows_every_kind(connection):
    for wanted in ("T1", "CODE", "player", "opened", "acme/T1/ticket_win/1"):
        (group,) = search(connection, wanted, operator="acme").kinds
        assert [line.operator for line in group.lines] == ["acme"]


def test_an_operator_that_does_not_exist_is_named_with_the_nearest(connection):
    with pytest.raises(OperatorNotFound, match="did you mean 'acme'"):
        search(connection, "T1", operator="acm")


@pytest.fixture(scope="module")
def crowd(shared_engine: Engine) -> Engine:
    """Many tickets beside the few. No test changes anything here."""
    a_few_tickets(shared_engine)
    with shared_engine.begin() as connection:
        for statement in (UNCHECKED, MANY, MANY_NOTICES, MANY_EVENTS, MANY_RAW, text("ANALYZE")):
            connection.execute(statement)
    return shared_engine


@pytest.fixture
def crowded(crowd: Engine) -> Iterator[Connection]:
    """A session of the test's own."""
    with crowd.connect() as opened:
        yield opened
    crowd.dispose()


def plans(connection: Connection, wanted: str, operator: str | None) -> Plans:
    used = plans_of(connection, lambda: search(connection, wanted, operator=operator))
    assert not BIG & used.whole_tables
    return used


@pytest.mark.parametrize("operator", [None, "acme"])
@pytest.mark.parametrize(
    ("wanted", "index", "table", "rows"),
    [
        ("M1500", "ticket_operator_ticket_id_key", "ticket", 3),
        ("C1500", "ticket_code", "ticket", 3),
        ("P5", "ticket_of_player", "ticket", 3 * (SHOWN_MAX + 1)),
        ("e1500", "ticket_event_of_id", "ticket_event", 3),
        ("acme/M1500/ticket_win/1", "notice_identity", "notice", 1),
        ("{transaction}", "notice_transaction", "notice", 1),
        ("1500", "notice_pkey", "notice", 1),
        ("1500-0", "rejected_input_entry_id_key", "rejected_input", 1),
        ("r1500", "rejected_input_of_id", "rejected_input", 2),
    ],
)
def test_a_look_up_takes_its_index_and_reads_what_it_shows(
    crowded, wanted, index, table, rows, operator
):
    transaction, _ = crowded.execute(KEY).one()

    used = plans(crowded, wanted.replace("{transaction}", transaction), operator)

    assert index in used.indexes
    assert used.rows.get(table, 0) <= rows


@pytest.mark.parametrize("operator", [None, "acme"])
def test_what_many_have_is_bounded_and_says_that_there_is_more(crowded, operator):
    def of_player() -> SearchResult:
        return search(crowded, "P5", operator=operator, kinds=[MatchKind.PLAYER])

    (group,) = of_player().kinds
    read = touched_by(crowded, of_player)

    assert (len(group.lines), group.more) == (SHOWN_MAX, True)
    assert read.one_by_one["ticket"] == 0
    assert read.by_index["ticket"] <= 3 * (SHOWN_MAX + 1)
    (events,) = search(crowded, "same", operator=operator).kinds
    assert (len(events.lines), events.more) == (SHOWN_MAX, True)


@pytest.fixture
def slipway(monkeypatch, capsys, database) -> CommandLine:
    slipway = CommandLine(monkeypatch, capsys)
    slipway.export(database_url=database, redis_url="redis://127.0.0.1:1/0")
    slipway.export(secret_key=Fernet.generate_key().decode())
    return slipway


def test_the_command_prints_what_it_finds(harness, slipway):
    ended = slipway("tickets", "find", "T1", "--operator", "acme")

    assert ended.code == 0
    assert [line.split()[:4] for line in ended.out.splitlines()[1:]] == [
        ["ticket", "acme", "T1", "resulted/won"]
    ]


def test_the_command_finds_exactly_a_player_or_a_code(harness, slipway):
    harness.say("ticket_open", "player", operator="acme")

    for option, wanted, kind in (("--player", "player", "player"), ("--code", "CODE", "code")):
        document = slipway("tickets", "find", option, wanted, "--json").document()
        assert [group["kind"] for group in document["kinds"]] == [kind]
        assert {match["ticket_id"] for match in document["kinds"][0]["matches"]} <= {"T1", "W1"}


def test_the_command_says_that_nothing_has_the_id(harness, slipway):
    ended = slipway("tickets", "find", "T2", "--json")

    assert (ended.code, json.loads(ended.out)) == (1, {"text": "T2", "kinds": []})
    assert "nothing has the id or code 'T2'" in ended.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "give one of TEXT, --player and --code"),
        (["T1", "--code", "C"], "give one of TEXT, --player and --code"),
        (["x" * 100_000], "has 100,000 characters"),
        (["T1", "--operator", "acm"], "did you mean 'acme'"),
    ],
)
def test_a_wrong_search_is_refused_with_what_is_wrong(harness, slipway, words, complaint):
    ended = slipway("tickets", "find", *words)

    assert ended.code == 2
    assert complaint in ended.err
