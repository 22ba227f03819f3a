"""One field finds everything: a single hit leads to its page, a player's tickets are a list."""

import pytest
from sqlalchemy import Engine, text

from models.erasure import list_erasures
from models.search import list_player_tickets, operators_of_player
from tests.support.console_app import ConsoleApp, ConsoleClient
from tests.support.erasing import PLAYER
from tests.support.harness import SLIP, Harness
from tests.support.manual_clock import ManualClock
from tests.support.plans import plans_of, touched_by

HOSTILE = "<b>CODE</b>"
MANY = text("""
    INSERT INTO ticket (operator, ticket_id, status, details)
    SELECT 1 + n % 2, 'M' || n, 'open', jsonb_build_object('player_id', 'P' || n % 30)
      FROM generate_series(1, 6000) AS n""")

RAW = text("""
    INSERT INTO rejected_input (entry_id, raw, whole, reason, message, event_id, received_at)
    VALUES ('77-0', '', true, 'not_json', '', 'never-read', now())""")


@pytest.fixture
def harness(engine: Engine) -> Harness:
    """Two partners; one has two tickets of the player, both have a ticket T1."""
    harness = Harness(engine, ManualClock())
    harness.add_operator("acme")
    harness.add_operator("beta")
    slip = {**SLIP, "player_id": PLAYER, "ticket_code": HOSTILE}
    harness.say("ticket_open", "T1", operator="acme", event_id="opened", **slip)
    harness.say("ticket_open", "T/2", operator="acme", **slip)
    harness.say("ticket_open", "T1", operator="beta", **SLIP)
    return harness


def where_it_leads(client: ConsoleClient, text: str) -> str:
    response = client.http.get("/", params={"q": text}, follow_redirects=False)
    return response.headers["location"] if response.status_code == 303 else ""


def test_a_single_hit_leads_to_its_page(console: ConsoleApp, harness: Harness):
    assert where_it_leads(console.viewer, " 'opened' ") == "/tickets/acme/T1"
    assert where_it_leads(console.viewer, "T/2") == "/tickets/acme/T%2F2"
    assert where_it_leads(console.viewer, "T1") == ""


def test_rejected_input_leads_to_its_own_page(console: ConsoleApp, harness: Harness):
    with harness.engine.begin() as connection:
        connection.execute(RAW)

    assert where_it_leads(console.viewer, "77-0") == "/events/one?entry=77-0"
    assert where_it_leads(console.viewer, "never-read") == "/events/one?entry=77-0"


def test_several_hits_are_listed_by_kind(console: ConsoleApp, harness: Harness):
    page = console.viewer.page("/", q="T1")

    assert page.text("#found-ticket") == "Tickets with this id"
    assert [row[:2] for row in page.rows()] == [["beta", "T1"], ["acme", "T1"]]


def test_nothing_found_says_where_it_was_looked_for_and_why_it_may_be_missing(
    console: ConsoleApp, harness: Harness
):
    page = console.viewer.page("/", q="nobody")

    assert "Nothing has this id or code" in page.words
    assert "How many wait is not known: Redis does not respond" in page.words
    assert "a ticket leaves 90 d after its end" in page.words


def test_a_player_s_tickets_are_masked_for_viewers(console: ConsoleApp, harness: Harness):
    seen = console.support.page("/", q=PLAYER)
    masked = console.viewer.page("/", q=PLAYER)

    assert [row[1] for row in seen.rows()] == ["T/2", "T1"]
    assert PLAYER in seen.text("table")
    assert PLAYER not in masked.text("table")
    assert HOSTILE in seen.text("table")
    assert HOSTILE not in seen.response.text
    assert seen.tree.css("#erase") == masked.tree.css("#erase") == []


def test_a_player_with_many_tickets_has_pages(console: ConsoleApp, harness: Harness):
    with harness.engine.begin() as connection:
        connection.execute(MANY)
    shown: list[str] = []
    page = console.viewer.page("/", q="P7")
    while True:
        shown += [row[1] for row in page.rows()]
        following = page.links().get("Next »")
        if following is None:
            break
        page = console.viewer.page(following)

    assert len(shown) == len(set(shown)) == 200
    assert [name for name in shown if name == "M7"] == shown[-1:]
    console.viewer.page("/", status=422, q="P7", after="W10")


@pytest.mark.parametrize("analysed", [False, True])
def test_a_page_of_a_player_reads_what_it_shows(harness, analysed):
    with harness.engine.connect() as connection:
        connection.execute(MANY)
        if analysed:
            connection.execute(text("ANALYZE"))

        def read() -> None:
            list_player_tickets(connection, "P7", before=5000, limit=10)
            operators_of_player(connection, "P7")

        plans, touched = plans_of(connection, read), touched_by(connection, read)
        connection.rollback()

    assert "ticket_of_player" in plans.indexes
    assert "ticket" not in plans.whole_tables
    assert touched.by_index["ticket"] <= 40


@pytest.fixture
def question(console: ConsoleApp, harness: Harness) -> tuple[ConsoleApp, str]:
    """The page that asks whether the player shall be erased, from the search."""
    page = console.operations.page("/", q=PLAYER)
    return console, page.links()["Erase this player at acme…"]


def test_an_erasure_is_counted_first_and_starts_with_the_id_typed_again(
    question: tuple[ConsoleApp, str], engine: Engine
):
    console, path = question
    page = console.operations.page(path)
    assert "Tickets that name the player2" in page.words
    fields = {name: page.hidden(name) for name in ("partner", "player")}

    refused = console.operations.act("/erasures", {**fields, "typed": PLAYER.upper()})
    with engine.connect() as connection:
        assert list_erasures(connection) == []
    report = console.operations.act(
        "/erasures", {**fields, "typed": PLAYER}, reason=f"{PLAYER} asked for it"
    )
    again = console.operations.act("/erasures", {**fields, "typed": PLAYER})

    assert refused.status == 422
    assert report.text("h1") == "Erasure 1"
    assert "Erasure 1 has begun; job 1 carries it on." in report.text(".message.good")
    assert again.status == 409
    for page in (report, again, console.operations.page("/erasures")):
        assert PLAYER not in page.response.text


@pytest.mark.parametrize("path", ["/erasures", "/erasures/1", "/erasures/new?partner=a&player=b"])
def test_erasures_are_for_operations(console: ConsoleApp, harness: Harness, path: str):
    for client in (console.viewer, console.support):
        client.page(path, status=403)
        assert "Erasures" not in client.page("/system").text("nav")


def test_others_cannot_erase(console: ConsoleApp, harness: Harness, engine: Engine):
    fields = {"partner": "acme", "player": PLAYER, "typed": PLAYER}

    assert console.support.act("/erasures", fields).status == 403
    with engine.connect() as connection:
        assert list_erasures(connection) == []


def test_bad_input_is_refused_and_an_unknown_partner_is_no_empty_list(
    console: ConsoleApp, harness: Harness
):
    client = console.operations
    assert "no operator 'nobody'" in client.page("/erasures", status=404, partner="nobody").words
    client.page("/erasures", status=422, after="W10")
    client.page("/erasures/9", status=404)
    client.page("/erasures/99999999999999999999", status=422)
    client.page("/erasures/new", status=422, partner="acme", player=" ")
    assert "No player has been erased" in client.page("/erasures").words
