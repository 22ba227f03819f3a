"""The pages of the partners: what they show, and what a call to one met."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from models.publishers.keys import add_publisher
from producers.simulation.partner import SimulatedPartner
from tests.support.console_app import ConsoleApp
from tests.support.console_partners import (
    ANNA,
    INTERVENTIONS,
    MINUTES,
    OPEN_CIRCUIT,
    PROGRESS,
    SECRET,
    TICKET,
    add,
    change,
    console_with_acme,
    database_now,
    rows,
)
from tests.support.raw_server import raw_server, say


@pytest.fixture
def console(database: str, engine: Engine) -> Iterator[ConsoleApp]:
    with console_with_acme(database, engine) as running:
        yield running


# --- what is shown -------------------------------------------------------------------------------


def test_the_list_says_how_each_partner_is_doing(console: ConsoleApp, engine: Engine):
    add(
        engine,
        "betsy",
        "http://127.0.0.1:1/",
        protocol="seamless",
        agent="us",
        announces_tickets=True,
    )
    until = database_now(engine).replace(second=0, microsecond=0)
    change(engine, TICKET, ticket="T1", at=until - timedelta(minutes=90), ended=None)
    change(engine, TICKET, ticket="T2", at=until, ended="dead")
    change(engine, MINUTES, until=until)
    change(engine, PROGRESS, until=until)
    change(engine, OPEN_CIRCUIT)

    page = console.viewer.page("/partners")
    acme, betsy = page.rows()

    assert acme[0] == "acme pam"
    assert acme[1] == "enabled"
    assert acme[2].startswith("open 20 min")
    assert acme[3].startswith("1 h 3")
    assert acme[4:] == ["1", "1", "0 of 32", "30", "25%"]
    assert betsy[0] == "betsy seamless"
    assert betsy[2:] == ["closed", "\N{EN DASH}", "0", "0", "0 of 32", "0", "no attempt"]
    assert page.links()["acme"] == "/partners/acme"


def test_figures_that_the_sweep_has_not_counted_are_unknown_and_not_zero(
    console: ConsoleApp, engine: Engine
):
    assert console.viewer.page("/partners").rows()[0][-2:] == ["not known", "not known"]
    change(engine, PROGRESS, until=database_now(engine) - timedelta(hours=1))
    assert console.viewer.page("/partners").rows()[0][-2:] == ["not known", "not known"]
    assert "Not known at the moment" not in console.viewer.page("/partners/acme", span="6h").words


def test_the_list_has_pages_and_filters(console: ConsoleApp, engine: Engine):
    for number in range(60):
        add(engine, f"p{number:02}", "http://127.0.0.1:1/")
    change(engine, text("UPDATE operator SET disabled_at = now() WHERE code = 'p07'"))
    change(engine, text("UPDATE operator SET ended_at = now() WHERE code = 'p08'"))

    first = console.viewer.page("/partners")
    second = console.viewer.page(first.links()["Next »"])
    codes = [row[0].split()[0] for row in first.rows() + second.rows()]

    assert codes == ["acme", *(f"p{number:02}" for number in range(60))]
    assert [row[0] for row in console.viewer.page("/partners", state="disabled").rows()] == [
        "p07 pam"
    ]
    assert [row[0] for row in console.viewer.page("/partners", state="ended").rows()] == ["p08 pam"]
    assert (
        "No partner is in this state"
        in console.viewer.page("/partners", state="circuit_open").words
    )
    console.viewer.page("/partners", state="sleepy", status=422)
    console.viewer.page("/partners", after="%%", status=422)


def test_a_partner_shows_its_terms_circuit_plots_and_keys(console: ConsoleApp, engine: Engine):
    until = database_now(engine).replace(second=0, microsecond=0)
    change(engine, MINUTES, until=until)
    change(engine, PROGRESS, until=until)
    change(engine, OPEN_CIRCUIT)
    with engine.begin() as connection:
        add_publisher(connection, "acme-feed", operators=["acme"], read_only=False, person=ANNA)

    page = console.viewer.page("/partners/acme")

    assert "Close delay24h" in page.text("#partner-details")
    assert "answered 401" not in page.words, "a viewer does not read what a partner answered"
    assert "answered 401" in console.support.page("/partners/acme").words
    assert "Agree with the partner on a secret" in page.words
    assert "acme-feed" in page.text("#partner-details")
    series = json.loads(page.one("[data-chart]").attributes["data-chart"] or "")
    assert series["lines"][0]["values"][-5:] == [30.0] * 5
    assert page.rows("#partner-plots table")[0][1:] == ["30", "10", "25%", "450 ms"]
    assert page.rows("#partner-plots table")[-1][1:] == [
        "not known",
        "not known",
        "\N{EN DASH}",
        "\N{EN DASH}",
    ]
    for span in ("6h", "24h", "48h"):
        assert console.viewer.page("/partners/acme", span=span).rows("#partner-plots table")
    console.viewer.page("/partners/acme", span="9h", status=422)
    assert "did you mean 'acme'" in console.viewer.page("/partners/acne", status=404).words


def test_a_viewer_is_offered_no_act_and_support_neither(console: ConsoleApp):
    for client in (console.viewer, console.support):
        page = console.viewer.page("/partners/acme")
        assert page.tree.css("main form[method=post]") == []
        for path in ("ping", "signed-test", "disable", "enable", "terms", "secret", "send-again"):
            assert client.act(f"/partners/acme/{path}").status == 403
        for path in ("terms", "secret", "send-again", "end"):
            assert client.get(f"/partners/acme/{path}").status_code == 403
        assert client.act("/partners/acme/end", {"confirm": "acme"}).status == 403


def test_foreign_text_becomes_no_element(console: ConsoleApp, engine: Engine):
    hostile = "<script>alert(1)</script>\u202e\x1b[2J"
    change(engine, OPEN_CIRCUIT)
    change(engine, text("UPDATE circuit SET reason = :reason"), reason=hostile)
    change(
        engine,
        text("INSERT INTO intervention (who, why, did, operator, facts)"
             " VALUES (:text, :text, 'partner_pinged', 'acme', CAST(:facts AS jsonb))"),
        text=hostile,
        facts=json.dumps({"there": False, "signed": True, "status": 200, "took_ms": 1.5,
                          "address": hostile, "signature": "unknown", "problem": hostile,
                          "answer": hostile}),
    )  # fmt: skip

    page = console.operations.page("/partners/acme")

    assert page.tree.css("main script") == []
    assert not any(hidden in page.response.text for hidden in "\u202e\x1b")
    assert "alert(1)" in page.words
    assert "•••" in console.viewer.page("/partners/acme").text("#call")
    assert "alert(1)" not in console.viewer.page("/partners/acme").texts("#call pre")


# --- ping and signed test ------------------------------------------------------------------------


def test_a_ping_and_a_signed_test_show_what_they_met(console: ConsoleApp, engine: Engine):
    with SimulatedPartner(secret=SECRET) as partner:
        change(engine, text("UPDATE operator SET url = :url"), url=partner.url)

        pinged = console.operations.act("/partners/acme/ping", reason="is it there?")
        tested = console.operations.act("/partners/acme/signed-test", reason="after the rotation")

    assert "acme responded" in pinged.text(".message")
    assert "accepted the signature" in tested.text(".message")
    assert "Address127.0.0.1" in tested.text("#call").replace(" ", "")
    kept = [row for row in rows(engine, INTERVENTIONS) if row.did == "partner_pinged"]
    assert [(row.who, row.why, row.facts["signed"]) for row in kept] == [
        ("operations", "is it there?", False),
        ("operations", "after the rotation", True),
    ]
    assert kept[1].facts["signature"] == "accepted"
    assert SECRET not in json.dumps([row.facts for row in kept])


def test_a_refused_signature_an_odd_answer_and_silence_are_told_apart(
    console: ConsoleApp, engine: Engine
):
    with SimulatedPartner(secret="another-secret") as partner:
        change(engine, text("UPDATE operator SET url = :url"), url=partner.url)
        refused = console.operations.act("/partners/acme/signed-test")
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n<script>alert(1)</script> a login page"
    with raw_server(say(answer)) as server:
        change(engine, text("UPDATE operator SET url = :url"), url=server.url)
        odd = console.operations.act("/partners/acme/ping")
    gone = console.operations.act("/partners/acme/ping")
    change(engine, text("UPDATE operator SET url = 'http://10.0.0.1/'"))
    private = console.operations.act("/partners/acme/ping")

    assert "refused the signature" in refused.text(".message.bad")
    assert odd.tree.css("main script") == []
    assert "login page" in odd.text("#call pre")
    assert "no response" in gone.text(".message.bad")
    assert "not public" in private.text(".message.bad")


def test_unsigned_calls_have_no_signature_to_test(console: ConsoleApp, engine: Engine):
    add(engine, "wallet", "http://127.0.0.1:1/", protocol="seamless", agent="us",
        announces_tickets=True)  # fmt: skip

    assert "Signed test" not in console.operations.page("/partners/wallet").words
    refused = console.operations.act("/partners/wallet/signed-test")
    assert (refused.status, "not signed" in refused.words) == (409, True)
