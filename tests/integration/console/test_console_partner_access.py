"""What calls to a partner carry, on its page: what may be shown of it, and no secret."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from models.access.values import Access, Basic, Header
from models.operators.access import set_access
from tests.support.client_certificates import make_pair
from tests.support.console_app import ConsoleApp
from tests.support.console_partners import ANNA, VAULT, console_with_acme, database_now

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
