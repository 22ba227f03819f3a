"""What calls to a partner carry, in the console: shown, set and removed, and no secret shown."""

import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from models.access.document import open_access
from models.access.values import Access, Basic, Header
from models.operators.access import set_access
from tests.support.client_certificates import make_pair
from tests.support.console_app import ConsoleApp
from tests.support.console_partners import (
    ANNA,
    INTERVENTIONS,
    VAULT,
    console_with_acme,
    database_now,
    rows,
    send,
)

CANARY = "canary-9Kx4"


@pytest.fixture
def console(database: str, engine: Engine) -> Iterator[ConsoleApp]:
    with console_with_acme(database, engine) as running:
        yield running


def test_the_page_shows_an_access_and_the_next_one_without_their_secrets(
    console: ConsoleApp, engine: Engine
):
    now = database_now(engine)
    chain = make_pair(now, name="acme-client").chain
    headers = (Header("X-Api-Key", f"{CANARY}-header"), Header("X-Tenant", "t-7", secret=False))
    present = Access(headers=headers, basic=Basic("us", f"{CANARY}-basic"), authorities=chain)
    coming = Access(bearer=f"{CANARY}-bearer")
    assert "calls carry the signature alone" in console.viewer.page("/partners/acme").text(
        "#access"
    )

    with engine.begin() as connection:
        for access, switch_at in ((present, None), (coming, now + timedelta(hours=1))):
            set_access(connection, "acme", access, now=now, vault=VAULT, person=ANNA,
                       switch_at=switch_at)  # fmt: skip

    page = console.viewer.page("/partners/acme")
    shown = page.text("#access")
    for words in (
        "Header X-Api-Key(secret)",
        "Header X-Tenantt-7",
        "user us, password (secret)",
        "CN=acme-client",
        "The CA bundle expires",
        "in 59 min",
        "Bearer(secret)",
    ):
        assert words in shown, words
    assert CANARY not in page.response.text
    assert CANARY not in console.operations.page("/history").response.text


FORM = "/partners/acme/access"
TYPED = f"""
headers:
  - {{name: X-Api-Key, value: '{CANARY}-header'}}
basic: {{user: us, password: {CANARY}-basic}}
"""
STORED = "SELECT access, next_access, access_switch_at FROM operator"


def test_an_access_is_typed_and_used_at_once_or_from_a_moment_on(
    console: ConsoleApp, engine: Engine, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    client = console.operations

    first = send(client.page(FORM), client, FORM, document=TYPED, reason="their gateway")
    same = send(client.page(FORM), client, FORM, document=TYPED)
    later = send(
        client.page(FORM), client, FORM, document=f"bearer: {CANARY}-bearer", switch_at="+1h"
    )

    assert "The new access is used within a second" in first.text(".message")
    assert "user us, password (secret)" in first.text("#access")
    assert "Nothing was changed" in same.text(".message")
    assert "The new access waits for its moment" in later.text(".message")
    assert "Another access waits" in client.page(FORM).words
    (row,) = rows(engine, STORED)
    assert open_access(row.access, VAULT) == Access(
        headers=(Header("X-Api-Key", f"{CANARY}-header"),), basic=Basic("us", f"{CANARY}-basic")
    )
    assert open_access(row.next_access, VAULT) == Access(bearer=f"{CANARY}-bearer")
    history = client.page("/history")
    for words in ("Set what calls carry for the partner's gateway", "basic, 1 header"):
        assert words in history.words
    assert rows(engine, INTERVENTIONS)[1][:3] == ("operations", "their gateway", "access_changed")
    shown = "".join(page.response.text for page in (first, same, later, history))
    kept = str(rows(engine, "SELECT facts FROM intervention"))
    assert CANARY not in shown + kept + caplog.text


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (f"bearer: @{CANARY}", "line 1: this cannot be read as YAML"),
        (f"basic: {{user: us, pasword: {CANARY}}}", "did you mean password?"),
        (f"basic: {{user: us, password_file: {CANARY}}}", "only the command line reads"),
        (f"{TYPED}bearer: {CANARY}", "Basic and Bearer exclude each other"),
        (f"bearer: {CANARY}\\n more", "the token must be printable ASCII without spaces"),
        (f"certificate: {{chain: x, key: {CANARY}}}", "key cannot be read: it is not PEM"),
        (f"authorities: {CANARY}", "the CA bundle cannot be read: it is not PEM"),
        ("headers: []", "to remove the access, use the button"),
    ],
    ids=["YAML", "typo", "file", "two methods", "two lines", "key", "bundle", "empty"],
)
def test_what_is_wrong_is_named_and_what_was_typed_is_never_shown_again(
    console: ConsoleApp,
    engine: Engine,
    caplog: pytest.LogCaptureFixture,
    document: str,
    sentence: str,
):
    caplog.set_level(logging.DEBUG)
    client = console.operations
    form = client.page(FORM)

    refused = send(form, client, FORM, document=document, switch_at="+1h", reason="their gateway")

    assert refused.status == 422
    assert sentence in refused.text("#error-document")
    assert refused.text("textarea[name=document]") == ""
    assert refused.text("textarea[name=reason]") == "their gateway"
    assert refused.one("input[name=switch_at]").attributes["value"] == "+1h"
    assert CANARY not in refused.response.text + caplog.text
    assert tuple(rows(engine, STORED)[0]) == (None, None, None)


def test_a_moment_that_cannot_be_read_or_is_too_far_is_named_at_its_field(console: ConsoleApp):
    client = console.operations
    for moment, sentence in (("soon", "is not a time"), ("+400d", "within 366 days")):
        page = send(client.page(FORM), client, FORM, document=TYPED, switch_at=moment)
        assert (page.status, sentence in page.text("#error-switch_at")) == (422, True), page.words
        assert CANARY not in page.response.text


def test_who_comes_second_replaces_nothing(console: ConsoleApp, engine: Engine):
    client = console.operations
    form, partner = client.page(FORM), "/partners/acme/remove-access"
    send(form, client, FORM, document=TYPED)

    late = send(form, client, FORM, document=f"bearer: {CANARY}-late")
    unseen = client.act(FORM, {"document": TYPED})
    removing = client.act(partner, {"expected": form.hidden("expected")})

    assert [page.status for page in (late, unseen, removing)] == [409, 422, 409]
    assert "was replaced meanwhile" in late.words
    assert CANARY not in late.response.text
    (row,) = rows(engine, STORED)
    assert open_access(row.access, VAULT).basic == Basic("us", f"{CANARY}-basic")


def test_it_is_removed_with_one_that_waits(console: ConsoleApp, engine: Engine):
    client = console.operations
    assert "Remove access" not in client.page("/partners/acme").text("#partner-acts")
    send(client.page(FORM), client, FORM, document=TYPED)
    send(client.page(FORM), client, FORM, document="bearer: x", switch_at="+1h")
    page = client.page("/partners/acme")
    action = page.one("form[action$=remove-access] input[name=expected]")

    removed = client.act("/partners/acme/remove-access", {"expected": action.attributes["value"]})

    assert "carry nothing for a gateway any more" in removed.text(".message")
    assert tuple(rows(engine, STORED)[0]) == (None, None, None)


def test_a_token_url_without_tls_is_a_note(console: ConsoleApp):
    client = console.operations
    oauth = f"{{token_url: 'http://8.8.8.8/t', client_id: us, client_secret: {CANARY}}}"

    page = send(client.page(FORM), client, FORM, document=f"oauth: {oauth}")

    assert "Note: the token URL is http, not https" in page.text(".message")
    assert CANARY not in page.response.text


def test_after_the_end_of_the_partnership_nothing_is_set(console: ConsoleApp):
    client = console.operations
    form = client.page(FORM)
    client.act("/partners/acme/end", {"confirm": "acme"})

    client.page(FORM, status=409)
    assert send(form, client, FORM, document=TYPED).status == 409
    assert "It was deleted when the partnership ended" in client.page("/partners/acme").words
