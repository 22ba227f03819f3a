"""A console on the test's own database."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.support import console_probe_pages
from tests.support.api_client import OperationsApi, operations_api_on
from tests.support.console_app import ConsoleApp, console_app_on
from tests.support.plain_settings import plain_settings


@pytest.fixture
def console(database: str, engine: Engine) -> Iterator[ConsoleApp]:
    """The console, with a user for each role. No Redis is running for it."""
    with console_app_on(plain_settings(database_url=database), engine) as running:
        yield running


@pytest.fixture
def probed(database: str, engine: Engine) -> Iterator[ConsoleApp]:
    """The console with the pages of `console_probe_pages` beside its own."""
    settings = plain_settings(database_url=database)
    with console_app_on(settings, engine, pages=console_probe_pages.routes) as running:
        yield running


@pytest.fixture
def api(database: str, engine: Engine) -> Iterator[OperationsApi]:
    """The operations API, with a token for each role."""
    settings = plain_settings(database_url=database, partner_networks="127.0.0.0/8")
    with operations_api_on(settings, engine) as running:
        yield running
