"""What operations do about a partner on its page, and what a person is told meanwhile."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from models.platform.timestamps import format_timestamp
from tests.support.console_app import ConsoleApp
from tests.support.console_partners import (
    INTERVENTIONS,
    SECRET,
    TICKET,
    VAULT,
    change,
    console_with_acme,
    database_now,
    rows,
    send,
)


@pytest.fixture
def console(database: str, engine: Engine) -> Iterator[ConsoleApp]:
    with console_with_acme(database, engine) as running:
        yield running


# --- disable, enable, terms ----------------------------------------------------------------------


def test_disable_and_enable_and_who_comes_second_is_told(console: ConsoleApp, engine: Engine):
    disabled = console.operations.act("/partners/acme/disable", reason="their maintenance")
    again = console.operations.act("/partners/acme/disable")
    assert "its notices are held" in disabled.text(".message")
    assert "Enable" in disabled.text("#partner-acts")
    assert (again.status, "has been disabled meanwhile" in again.words) == (409, True)

    enabled = console.operations.act("/partners/acme/enable")
    again = console.operations.act("/partners/acme/enable")
    assert "is enabled" in enabled.text(".message")
    assert again.status == 409
    did = [(row.did, row.why) for row in rows(engine, INTERVENTIONS)][1:]
    assert did == [("operator_disabled", "their maintenance"), ("operator_enabled", "a test")]


def test_terms_are_changed_and_it_is_said_how(console: ConsoleApp, engine: Engine):
    client = console.operations
    form = client.page("/partners/acme/terms")

    page = send(form, client, "/partners/acme/terms", rate="600/min", in_flight="8",
                announces_tickets="yes")  # fmt: skip

    assert "rate: none -> 10/s" in page.text(".message")
    assert "in flight: 32 -> 8" in page.text(".message")
    (row,) = rows(engine, "SELECT rate, in_flight, announces_tickets, close_delay FROM operator")
    assert tuple(row) == (10.0, 8, True, timedelta(hours=24))
    assert rows(engine, INTERVENTIONS)[-1].facts["rate"] == {"from": None, "to": 10.0}
    unchanged = send(client.page("/partners/acme/terms"), client, "/partners/acme/terms")
    assert "Nothing was changed" in unchanged.text(".message")


def test_mistakes_stand_at_their_fields_and_what_was_typed_stays(
    console: ConsoleApp, engine: Engine
):
    client = console.operations
    form = client.page("/partners/acme/terms")

    unreadable = send(form, client, "/partners/acme/terms", rate="fast", in_flight="many",
                      close_delay="tomorrow")  # fmt: skip
    refused = send(form, client, "/partners/acme/terms", url="ftp://x", in_flight="0",
                   timezone="<b>Mars</b>")  # fmt: skip

    assert (unreadable.status, refused.status) == (422, 422)
    assert "is not a rate" in unreadable.text("#error-rate")
    assert "whole number" in unreadable.text("#error-in_flight")
    assert "is not a duration" in unreadable.text("#error-close_delay")
    assert unreadable.one("#field-rate").attributes["value"] == "fast"
    assert "must be http" in refused.text("#error-url")
    assert "in flight must be" in refused.text("#error-in_flight")
    assert "Mars" in refused.text("#error-timezone")
    assert refused.one("#field-url").attributes["aria-invalid"] == "true"
    assert refused.text("textarea[name=reason]") == "a test"
    assert len(rows(engine, INTERVENTIONS)) == 1


def test_terms_that_changed_meanwhile_are_named_and_nothing_is_done(
    console: ConsoleApp, engine: Engine
):
    client = console.operations
    form = client.page("/partners/acme/terms")
    change(engine, text("UPDATE operator SET in_flight = 4"))

    stale = send(form, client, "/partners/acme/terms", rate="5/s")

    assert stale.status == 409
    assert "in flight was 32, now it is 4" in stale.text(".message")
    assert stale.one("#field-rate").attributes["value"] == "5/s"
    assert rows(engine, "SELECT rate FROM operator")[0].rate is None
    after = send(stale, client, "/partners/acme/terms", in_flight="4")
    assert "rate: none -> 5/s" in after.text(".message")
    for expected in ("", "{}", "[1]", "x" * 5000):
        fields = {"expected": expected}
        assert client.act("/partners/acme/terms", fields).status == 422


# --- the secret ----------------------------------------------------------------------------------


def test_a_new_secret_is_shown_once_and_the_same_form_again_does_nothing(
    console: ConsoleApp, engine: Engine
):
    client = console.operations
    form = client.page("/partners/acme/secret")

    rotated = send(form, client, "/partners/acme/secret", switch_at="+1h")
    shown = rotated.text(".secret code")
    again = send(form, client, "/partners/acme/secret", switch_at="+1h")

    assert rotated.status == 200
    assert rotated.response.headers["cache-control"] == "no-store"
    assert not any("flash" in name for name in rotated.response.cookies)
    (row,) = rows(engine, "SELECT secret, next_secret, switch_at, forget_at FROM operator")
    assert VAULT.decrypt(row.next_secret) == shown
    assert VAULT.decrypt(row.secret) == SECRET
    assert row.forget_at - row.switch_at == timedelta(hours=24)
    assert (again.status, "replaced meanwhile" in again.words) == (409, True)
    for path in ("/partners/acme", "/partners/acme/secret", "/partners"):
        assert shown not in client.page(path).response.text
    assert shown not in json.dumps([row.facts for row in rows(engine, INTERVENTIONS)])
    details = client.page("/partners/acme").text("#partner-details")
    assert "The next secret signs from" in details
    assert "in 59 min" in details


def test_the_age_of_a_secret_counts_from_when_it_began_to_sign(console: ConsoleApp, engine: Engine):
    client = console.operations
    change(engine, text("UPDATE operator SET created_at = now() - interval '400 days'"))
    assert "signs since400 d ago" in client.page("/partners/acme").text("#partner-details")

    planned = client.page("/partners/acme/secret")
    send(planned, client, "/partners/acme/secret", switch_at="+2h")
    assert "signs since400 d ago" in client.page("/partners/acme").text("#partner-details")

    form = client.page("/partners/acme/secret")
    rotated = send(form, client, "/partners/acme/secret", secret="a-secret-of-the-partner")
    assert "it never signed" in rotated.words
    assert "a-secret-of-the-partner" not in rotated.response.text
    details = client.page("/partners/acme").text("#partner-details")
    assert "400 d" not in details
    assert "The old secret is accepted until" in details


def test_mistakes_of_a_rotation_stand_at_their_fields(console: ConsoleApp, engine: Engine):
    client = console.operations
    form = client.page("/partners/acme/secret")

    typo = send(form, client, "/partners/acme/secret", switch_at="soon")
    early = send(form, client, "/partners/acme/secret", switch_at="+2h", forget_at="+1h")
    same = send(form, client, "/partners/acme/secret", secret=SECRET)

    assert "is not a time" in typo.text("#error-switch_at")
    assert "must not be forgotten before" in early.text("#error-forget_at")
    assert "in use already" in same.text("#error-secret")
    assert SECRET not in same.response.text
    assert [page.status for page in (typo, early, same)] == [422] * 3
    assert client.act("/partners/acme/secret").status == 422
    assert rows(engine, "SELECT next_secret FROM operator")[0].next_secret is None


# --- send again, end -----------------------------------------------------------------------------


def test_sending_again_counts_first_and_starts_one_job(console: ConsoleApp, engine: Engine):
    client = console.operations
    now = database_now(engine)
    for number in range(3):
        change(engine, TICKET, ticket=f"T{number}", at=now - timedelta(hours=1), ended="delivered")

    form = client.page("/partners/acme/send-again")
    counted = client.page("/partners/acme/send-again", since="3h", pace="5/s")
    none = client.page("/partners/acme/send-again", since="30m")
    sent = [
        send(counted, client, "/partners/acme/send-again").response.history[0].headers["location"]
        for _ in range(2)
    ]

    assert form.tree.css("form[method=post].act-page") == []
    assert counted.text("#count-title") == "3 tickets"
    assert "It took nothing" in none.words
    (job,) = rows(engine, "SELECT id, kind, pace, arguments, who FROM job")
    assert sent == [f"/jobs/{job.id}"] * 2
    assert (job.kind, job.pace, job.who) == ("send_operator_again", 5.0, "operations")
    since = counted.one("form[method=post] input[name=since]")
    assert job.arguments["since"] == since.attributes["value"]


def test_times_to_send_again_that_cannot_be_meant_are_marked(console: ConsoleApp, engine: Engine):
    client = console.operations
    future = format_timestamp(database_now(engine) + timedelta(days=1))
    wrong = {"since": "monday", "pace": "fast"}

    page = client.page("/partners/acme/send-again", status=422, **wrong)
    ends_late = client.page("/partners/acme/send-again", status=422, since="1h", until=future)
    turned = client.page("/partners/acme/send-again", status=422, since="1h", until="2h")

    assert "is not a time" in page.text("#error-since")
    assert "is not a rate" in page.text("#error-pace")
    assert "ends in the future" in ends_late.text("#error-since")
    assert "begins after it ends" in turned.text("#error-since")
    assert client.act("/partners/acme/send-again", wrong).status == 422
    assert client.act("/partners/acme/send-again").status == 422
    assert rows(engine, "SELECT id FROM job") == []


def test_a_partnership_ends_after_its_code_was_typed_and_offers_nothing_then(
    console: ConsoleApp, engine: Engine
):
    client = console.operations
    change(engine, TICKET, ticket="T", at=database_now(engine), ended=None)
    form = client.page("/partners/acme/end")

    mistyped = send(form, client, "/partners/acme/end", confirm="acne")
    ended = send(form, client, "/partners/acme/end", confirm="acme")

    assert "1 ticket not ended yet" in form.words
    assert (mistyped.status, "another code" in mistyped.text("#error-confirm")) == (422, True)
    (job,) = rows(engine, "SELECT id, kind FROM job")
    assert ended.response.history[0].headers["location"] == f"/jobs/{job.id}"
    assert job.kind == "end_partnership"
    page = client.page("/partners/acme")
    assert "The partnership has ended" in page.words
    assert page.tree.css("main form[method=post], #partner-acts a") == []
    for path in ("ping", "signed-test", "disable", "enable", "secret", "terms", "send-again"):
        fields = {"expected": "x", "since": "1h"}
        refused = client.act(f"/partners/acme/{path}", fields)
        assert (path, refused.status, "ended" in refused.words) == (path, 409, True)
    for path in ("terms", "secret", "send-again", "end"):
        client.page(f"/partners/acme/{path}", status=409)
