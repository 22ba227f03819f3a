"""A console with a partner to act on, and rows written straight into its tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import Engine, text

from models.operators import NewOperator, add_operator
from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault
from tests.support.console_app import ConsoleApp, ConsoleClient, Page, console_app_on
from tests.support.plain_settings import plain_settings

SECRET = "the-secret-of-acme-12345"
ANNA = Person("anna", "the contract")
KEY = Fernet.generate_key().decode()
VAULT = Vault.with_keys([SecretStr(KEY)])
INTERVENTIONS = "SELECT who, why, did, facts FROM intervention WHERE operator = 'acme' ORDER BY id"
TICKET = text("""
    WITH given AS (
        SELECT CAST(:ended AS text) AS ended, CAST(:at AS timestamptz) AS at),
    made AS (
        INSERT INTO ticket (operator, ticket_id, status, result, generation, notices, unfinished)
        SELECT 1, :ticket, 'open', 'pending', 0, 1, CASE WHEN ended IS NULL THEN 1 ELSE 0 END
          FROM given RETURNING id),
    notice AS (
        INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at,
                            created_at, ended, ended_at, claims, took_ms, http_status)
        SELECT id, 1, 1, 'ticket_update', 1, '{}', ended IS DISTINCT FROM 'delivered', at, at,
               ended, CASE WHEN ended IS NOT NULL THEN at END, 1,
               CASE ended WHEN 'delivered' THEN 20 END, CASE ended WHEN 'delivered' THEN 200 END
          FROM made, given RETURNING id)
    SELECT id FROM notice""")
MINUTES = text("""
    INSERT INTO partner_minute (operator, minute, delivered, failed, p50_ms, p99_ms, max_ms)
    SELECT 1, CAST(:until AS timestamptz) - n * interval '1 minute', 30, 10, 20, 450, 900
      FROM generate_series(1, 5) AS n""")
PROGRESS = text("""
    INSERT INTO plot_progress (id, minutes_since, minutes_until)
    VALUES (1, CAST(:until AS timestamptz) - interval '10 minutes', :until)""")
OPEN_CIRCUIT = text("""
    INSERT INTO circuit (operator, opened_at, reason, probe_at)
    VALUES (1, now() - interval '20 minutes', 'failed 10 times in a row; the last: answered 401',
            now() + interval '1 minute')
        ON CONFLICT (operator) DO UPDATE
       SET opened_at = excluded.opened_at, reason = excluded.reason,
           probe_at = excluded.probe_at, closed_at = NULL""")


@contextmanager
def console_with_acme(database: str, engine: Engine) -> Iterator[ConsoleApp]:
    """Run the console with an operator `acme`, whose partner may be on this machine."""
    settings = plain_settings(database_url=database, secret_key=KEY, partner_networks="127.0.0.0/8")
    add(engine, "acme", "http://127.0.0.1:1/hook")
    with console_app_on(settings, engine) as running:
        yield running


def add(engine: Engine, code: str, url: str, **terms: object) -> None:
    """Add an operator; PAM, unless *terms* say otherwise."""
    given: dict[str, Any] = {"protocol": "pam", "secret": SECRET}
    new = NewOperator(code=code, url=url, **(given | terms))
    with engine.begin() as connection:
        add_operator(connection, new, vault=VAULT, person=ANNA)


def change(engine: Engine, statement: object, **values: object) -> None:
    """Change the database behind everyone's back."""
    with engine.begin() as connection:
        connection.execute(statement, values)  # type: ignore[call-overload]  # one of the texts


def rows(engine: Engine, query: str) -> list[Any]:
    """Ask the database."""
    with engine.begin() as connection:
        return list(connection.execute(text(query)))


def database_now(engine: Engine) -> datetime:
    """Return the time of the database."""
    with engine.begin() as connection:
        return DatabaseClock().now(connection)


def send(page: Page, client: ConsoleClient, path: str, **fields: str) -> Page:
    """Send the form of a page with the fields it has and others."""
    inputs = page.tree.css("form[method=post].act-page input[name]:not([type=checkbox])")
    held = {node.attributes["name"] or "": node.attributes["value"] or "" for node in inputs}
    ticked = page.tree.css("form[method=post].act-page input[type=checkbox][checked]")
    held |= {node.attributes["name"] or "": node.attributes["value"] or "" for node in ticked}
    chosen = page.tree.css_first("form[method=post].act-page option[selected]")
    if chosen is not None:
        held["lottery_ticket"] = chosen.attributes["value"] or ""
    return client.act(path, {**held, **fields})
