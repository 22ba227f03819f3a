"""The page of what partners are sent, and its files."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from models.notices import pam, seamless
from models.outgoing.documents import outgoing_documents
from tests.support.console_app import ConsoleApp
from tests.support.console_partners import console_with_acme


@pytest.fixture
def console(database: str, engine: Engine) -> Iterator[ConsoleApp]:
    with console_with_acme(database, engine) as running:
        yield running


def test_the_partners_lead_to_what_they_are_sent(console: ConsoleApp):
    link = console.viewer.page("/partners").links()["What partners are sent"]

    page = console.viewer.page(link)

    assert all(str(action) in page.words for action in pam.FIELDS)
    assert all(f"wallet_{path[1:]}" in page.words for path in seamless.FIELDS)
    assert "slipway-test-touches-no-ticket" in page.words
    assert "Idempotency-Key" in page.words
    assert "`" not in page.words


def test_each_file_of_the_page_is_the_published_one(console: ConsoleApp):
    links = console.viewer.page("/contract").links()

    files = {name: links[name] for name in outgoing_documents()}
    for name, address in files.items():
        answer = console.viewer.get(address)
        assert answer.json() == outgoing_documents()[name]
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    console.viewer.page("/contract/secrets.json", status=404)
