"""After a run with all kinds of errors, no secret stands anywhere in clear text.

Read are: what the processes wrote (at the level debug), every table, everything in Redis, Flower's
pages and its API, the gateway's pages and metrics, and what the command line shows.
"""

import json
import traceback
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from celery import Celery
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from models.operators import rotate_secret
from models.operators.interventions import Person
from models.settings.settings import Settings
from producers.simulation.partner import Respond, RespondAsWallet, Rule, SimulatedPartner, Wallet
from tests.support.command_line import CommandLine
from tests.support.delivery_setup import KEY
from tests.support.secrets_run import (
    FLOWER,
    OLD_KEY,
    SecretsRun,
    answers,
    held_by_redis,
    pages,
    running,
    secrets_run,
    tables,
)
from tests.support.wait import eventually
from tests.support.wallet_setup import settle

PLATFORM, NEXT, WALLET = "pam-secret-in-clear", "next-secret-in-clear", "wallet-secret-in-clear"
API_KEY = "api-key-of-acme-in-clear"


@pytest.fixture
def run(tmp_path, engine, database, redis_url, redis) -> Iterator[SecretsRun]:
    with secrets_run(
        tmp_path, engine=engine, database=database, redis_url=redis_url, redis=redis
    ) as prepared:
        yield prepared


def add_operators(run: SecretsRun, platform: str, wallet: str) -> None:
    """One of each protocol, one whose secret is damaged, and an exchange that is going on."""
    delivery = run.delivery
    delivery.operator("acme", platform, secret=PLATFORM, api_key=API_KEY)
    seamless: dict[str, Any] = {"protocol": "seamless", "agent": "us", "sign_calls": True}
    delivery.operator("house", wallet, secret=WALLET, **seamless)
    delivery.operator("damaged", platform, secret="unused")
    delivery.change("UPDATE operator SET secret = 'damaged' WHERE code = 'damaged'")
    now = delivery.clock.now()
    with delivery.engine.begin() as connection:
        rotate_secret(
            connection,
            "acme",
            NEXT,
            switch_at=now + timedelta(hours=1),
            forget_at=now + timedelta(hours=2),
            now=now,
            vault=delivery.vault,
            person=Person("anna", "they asked for it"),
        )


def settings_of(run: SecretsRun) -> dict[str, str]:
    names = ("database_url", "redis_url", "secret_key")
    return {name: run.env[f"SLIPWAY_{name.upper()}"] for name in names}


def make_trouble(run: SecretsRun, platform: SimulatedPartner, wallet: SimulatedPartner) -> None:
    """Errors of every kind the processes know: partners, input, callers, servers."""
    repeated = f"your secret {PLATFORM} is wrong".encode()
    platform.behave(Rule(Respond(400, body=repeated), ticket_id="refused"))
    platform.behave(Rule(Respond(500), ticket_id="failed"))
    wallet.behave(Rule(RespondAsWallet(908), ticket_id="refused"))
    for operator in ("acme", "damaged"):
        for ticket in ("fine", "refused", "failed"):
            run.delivery.publish(operator, ("ticket_win", ticket))
    settle(run.delivery, "ticket_win", "refused")
    for event in (b"{", b'{"action":"ticket_lose"}', json.dumps({"data": {"operator": "nobody"}})):
        run.redis.xadd("ticket-events", {"event": event})
    app = Celery("backend", broker=run.env["SLIPWAY_REDIS_URL"], set_as_current=False)
    for task, arguments in (("deliver", []), ("no_such_task", [1]), ("deliver", [1, 2, 3])):
        app.send_task(task, arguments, queue="deliver")
    app.close()
    with httpx.Client(base_url=run.address("gateway"), timeout=30) as caller:
        for key in (API_KEY, "wrong"):
            caller.post("/events", headers={"X-Api-Key": key}, json={"action": "ticket_lose"})
        wrong = {"operator-name": "acme", "timestamp": "1", "signature": "wrong"}
        caller.get("/be/tickets", headers=wrong)
        caller.post("/be/tickets/1/paid", headers=wrong, content=b"{")
        caller.post("/v2/integration/lottery", headers={"X-Api-Key": API_KEY}, content=b"{")
    eventually(lambda: {"fine", "refused", "failed"} <= tickets_at(platform))
    break_connections(run)
    app = Celery("backend", broker=run.env["SLIPWAY_REDIS_URL"], set_as_current=False)
    run.delivery.publish("acme", ("ticket_win", "after"))
    app.send_task("deliver", queue="deliver")
    app.close()
    eventually(lambda: "after" in tickets_at(platform) and tickets_at(wallet))


def tickets_at(partner: SimulatedPartner) -> set[str | None]:
    return {entry.ticket_id for entry in partner.ledger.entries()}


def break_connections(run: SecretsRun) -> None:
    """Both servers close all connections: what that logs may hold addresses."""
    run.delivery.engine.dispose()
    run.delivery.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    run.redis.client_kill_filter(_type="normal", skipme=True)


def shown(slipway: CommandLine, run: SecretsRun) -> Iterator[tuple[str, str]]:
    """What commands print, of operators that have secrets and of such as have none."""
    slipway.export(**run.settings)
    for words in ("list --json", "show acme --json", "show acme", "ping acme", "ping house"):
        ended = slipway("operators", *words.split())
        yield words, ended.out + ended.err


@pytest.mark.slow
def test_no_secret_is_found_in_clear_text(run, tmp_path, monkeypatch, capsys):
    """Encrypted at rest, and never in logs, errors, repr, Flower or metrics."""
    with (
        SimulatedPartner(secret=PLATFORM) as platform,
        SimulatedPartner(wallet=Wallet(WALLET, demands_signature=True)) as wallet,
        running(run, tmp_path),
    ):
        add_operators(run, platform.url, wallet.url)
        for process in ("gateway", "flower"):
            eventually(partial(answers, run.address(process)))
        make_trouble(run, platform, wallet)
        texts = [*pages(run), *tables(run.delivery.engine), *held_by_redis(run.redis)]
        texts += shown(CommandLine(monkeypatch, capsys), run)
        texts += [("settings", repr(Settings.model_validate(settings_of(run))))]
    texts += [(log.name, log.read_text(errors="replace")) for log in tmp_path.glob("*.log")]

    password = make_url(run.env["SLIPWAY_DATABASE_URL"]).password
    assert password, "the servers of the tests have one"
    secrets = [PLATFORM, NEXT, WALLET, API_KEY, FLOWER, KEY, OLD_KEY, str(password)]
    leaks = [(place, secret[:8]) for place, what in texts for secret in secrets if secret in what]
    assert leaks == []
    logs = dict(texts)
    for place in ("deliver.log", "flower /workers", "table operator", "table delivery_attempt"):
        assert len(logs[place]) > 100, f"{place} holds what was looked for in it"


PERSONAL = "Zq7xW"  # in every field that may say something of a person
AMOUNT = 987_654_321
WORDS = {name: f"{PERSONAL}-{name}" for name in ("player_id", "ticket_code", "psp", "atag", "rtag")}
FACTS: dict[str, Any] = {
    **WORDS,
    **{name: f"{PERSONAL} {name}" for name in ("game", "game_id", "reason", "shop")},
    **dict.fromkeys(("price", "stake", "gross_payout", "net_payout"), AMOUNT),
    "currency": "EUR",
}
# A real constraint: PostgreSQL's detail repeats the whole row.
REFUSE_ROWS = (
    "ALTER TABLE ticket_event ADD CHECK (event_id NOT LIKE 'poison%')",
    "ALTER TABLE delivery_attempt ADD CHECK (answer IS NULL)",
)


def publish_persons(run: SecretsRun) -> None:
    """Publish events that are applied, that are refused, and that have no form; all channels."""
    for event_id, action, ticket in (
        ("opened", "ticket_open", "fine"),
        ("won", "ticket_win", "fine"),
        ("poisoned", "ticket_win", "poison"),
        ("reserved", "ticket_reserve", "reserved"),
    ):
        data = FACTS | {"operator": "acme", "ticket_id": ticket}
        event = {"event_id": event_id, "action": action, "data": data}
        run.redis.xadd("ticket-events", {"event": json.dumps(event)})
        run.redis.xadd("ticket-events", {"event": json.dumps(event)[:-1]})
        wrong = event | {"data": data | {"player_id": f"{PERSONAL} {PERSONAL}", "price": PERSONAL}}
        run.redis.xadd("ticket-events", {"event": json.dumps(wrong)})
    app = Celery("backend", broker=run.env["SLIPWAY_REDIS_URL"], set_as_current=False)
    for queue in ("tickets", "deliver", "sweep"):  # the last two by mistake
        for name in ("ticket_win", "deliver"):
            app.send_task(name, kwargs=FACTS | {"operator": "acme"}, queue=queue)
            app.send_task(name, [FACTS | {"operator": "acme"}], queue=queue)
    app.close()


def fail_at_the_gateway(run: SecretsRun) -> None:
    with httpx.Client(base_url=run.address("gateway"), timeout=30) as caller:
        body = json.dumps({"action": "ticket_win", "data": FACTS | {"price": PERSONAL}})
        headers = {"X-Api-Key": API_KEY, "Content-Type": "application/json"}
        caller.post("/events", headers=headers, content=body)
        caller.post("/events", headers=headers, content=body[:-1])


@pytest.mark.slow
def test_nothing_of_a_person_is_in_a_log_or_on_a_page(run, tmp_path, monkeypatch, capsys):
    """Whatever fails: what is known of players and money stays in the database."""
    with (
        SimulatedPartner(secret=PLATFORM) as platform,
        running(run, tmp_path),
    ):
        run.delivery.operator("acme", platform.url, secret=PLATFORM, api_key=API_KEY)
        for process in ("gateway", "flower"):
            eventually(partial(answers, run.address(process)))
        for change in REFUSE_ROWS:
            run.delivery.change(change)
        platform.behave(Rule(Respond(422, body=f"{PERSONAL} is unknown".encode())))
        publish_persons(run)
        fail_at_the_gateway(run)
        eventually(lambda: run.delivery.rows("SELECT 1 FROM delivery_attempt"))
        eventually(
            lambda: run.delivery.rows("SELECT 1 FROM rejected_input WHERE reason = 'poison'")
        )
        texts = list(pages(run))
        slipway = CommandLine(monkeypatch, capsys)
        slipway.export(**settings_of(run))
        ticket = {"operator": "acme", "ticket_id": "poison", "state": "open", "data": FACTS}
        run.delivery.change("ALTER TABLE ticket ADD CHECK (ticket_id <> 'poison')")
        with pytest.raises(DBAPIError) as bug:  # nothing that a person can fix: with a traceback
            slipway("import", "-", "--why", "x", stdin=json.dumps(ticket).encode())
        texts += [("slipway import", "".join(traceback.format_exception(bug.value)))]
    texts += [(log.name, log.read_text(errors="replace")) for log in tmp_path.glob("*.log")]

    marks = (PERSONAL, str(AMOUNT))
    leaks = [(place, around(what, mark)) for place, what in texts for mark in marks if mark in what]
    assert leaks == []
    logs = dict(texts)
    assert "event_refused_as_poison" in logs["intake.log"]
    assert "CheckViolation" in logs["intake.log"]


def around(text_: str, mark: str) -> str:
    place = text_.index(mark)
    return text_[max(0, place - 300) : place + 100]
