"""No credential of a partner's gateway stands anywhere in clear text, whatever that gateway does.

Each method of access goes through the real processes, while gateways, a token endpoint and the
proxy refuse and repeat all that they were sent. Read are: what the processes wrote (at the level
debug), every table, everything in Redis, Flower, the pages and metrics, the console and its API,
what the command line prints, and the arguments of all processes (`ps`).
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import httpx
import pytest
import yaml

from models.outbox.attempts import ATTEMPTS
from models.platform.clock import DatabaseClock
from models.users import Role, add_token
from tests.support.api_client import PERSON, ApiClient
from tests.support.command_line import CommandLine
from tests.support.console_app import ConsoleClient, add_console_users
from tests.support.misbehaving_gateways import (
    CODES,
    PASSWORD,
    PROXY_PASSWORD,
    Gateways,
    misbehaving_gateways,
)
from tests.support.secrets_run import (
    SecretsRun,
    answers,
    held_by_redis,
    pages,
    running,
    secrets_run,
    tables,
)
from tests.support.sources import ROOT
from tests.support.wait import eventually

MAIN = "from worker.cli import main; main()"
ATTEMPTED = f"""
    SELECT DISTINCT o.code FROM {ATTEMPTS} a JOIN operator o ON o.id = a.operator"""  # noqa: S608 - a constant
TYPED = f"basic: {{user: us, password: {PASSWORD}}}"
Texts = Iterator[tuple[str, str]]


@pytest.fixture
def run(tmp_path, engine, database, redis_url, redis) -> Iterator[SecretsRun]:
    with secrets_run(
        tmp_path, engine=engine, database=database, redis_url=redis_url, redis=redis
    ) as prepared:
        yield prepared


def arguments() -> str:
    """The arguments of all processes, as `ps` shows them."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes().replace(b"\0", b" ").decode("latin-1"))
        except OSError:
            continue  # it has ended
    return "\n".join(lines)


def printed(run: SecretsRun, *commands: Sequence[str]) -> Texts:
    """Run commands beside each other as processes; what they print, what `ps` shows meanwhile."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MAIN, *words],
            cwd=ROOT,
            env=run.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for words in commands
    ]
    yield "ps", arguments()
    for words, process in zip(commands, started, strict=True):
        out, _ = process.communicate(timeout=120)
        yield f"slipway {' '.join(words)}", out.decode()
    yield "ps", arguments()


def printed_by(slipway: CommandLine, *commands: Sequence[str]) -> Texts:
    """What commands print that run in this process, one after the other."""
    for words in commands:
        ended = slipway(*words)
        yield f"slipway {' '.join(words)}", ended.out + ended.err


def given(gateways: Gateways) -> str:
    """The operators as code, each with another access; the path of the file."""
    operators = []
    for code in CODES:
        (gateways.folder / f"{code}.secret").write_text(f"secret-of-{code}-0123456789\n")
        access = yaml.safe_load(gateways.access_file(code).read_text())
        operators.append(
            {
                "code": code,
                "url": gateways.urls[code],
                "protocol": "pam",
                "secret_file": f"{code}.secret",
                **({"access": access} if access else {}),
            }
        )
    path = gateways.folder / "operators.yaml"
    path.write_text(yaml.safe_dump({"operators": operators}))
    return str(path)


def typed_wrong(gateways: Gateways) -> str:
    """An access with its secrets in the wrong place; the path of the file."""
    path = gateways.folder / "wrong.yaml"
    path.write_text(TYPED)
    return str(path)


def console_shows(run: SecretsRun) -> Texts:
    """What a person and a program see, while they set an access, ping and look around."""
    passwords = add_console_users(run.delivery.engine)
    with run.delivery.engine.begin() as connection:
        now = DatabaseClock().now(connection)
        token = add_token(connection, "program", role=Role.OPERATIONS, person=PERSON, now=now)
    with httpx.Client(base_url=run.address("console"), timeout=60, follow_redirects=True) as http:
        http.headers["Accept"] = "text/html"
        person = ConsoleClient(http, Role.OPERATIONS)
        person.sign_in(passwords[Role.OPERATIONS])
        form = "/partners/keyed/access"
        version = person.page(form).hidden("expected")
        for document in (TYPED, f"{TYPED}\nbearer: {PASSWORD}", f"bearer: @{PASSWORD}"):
            expected = {"expected": version, "document": document}
            yield f"console {form}", person.act(form, expected).response.text
        for code in CODES:
            for path in ("", "/access", "/terms"):
                yield f"console {code}{path}", person.get(f"/partners/{code}{path}").text
        yield "console ping", person.act("/partners/proxied/ping").response.text
        for path in ("/", "/history", "/notices", "/events", "/system", "/partners", "/metrics"):
            yield f"console {path}", person.get(path).text
    with httpx.Client(base_url=run.address("console"), timeout=60) as http:
        program = ApiClient(http, token.token)
        for code in CODES:
            yield f"api {code}", program.get(f"/partners/{code}").text
            yield f"api access of {code}", program.get(f"/partners/{code}/access").text
        wrong = {"basic": {"user": "a:b", "password": PASSWORD}, "bearer": PASSWORD}
        for access in (wrong, {"basic": {"user": "us", "pasword": PASSWORD}}):
            yield "api wrong", program.act("/partners/keyed/access", access=access).text
        for code in ("keyed", "issued"):
            yield f"api ping of {code}", program.act(f"/partners/{code}/ping").text
        yield "api system", program.get("/system").text


@pytest.mark.slow
def test_no_credential_for_a_gateway_is_found_in_clear_text(
    run, tmp_path, engine, monkeypatch, capsys
):
    with engine.begin() as connection:
        now = DatabaseClock().now(connection)
    folder = tmp_path / "given"
    folder.mkdir()
    with misbehaving_gateways(folder, now=now) as gateways:
        proxy = f"http://us:{PROXY_PASSWORD}@127.0.0.1:{gateways.proxy_port}"
        run.env |= {
            "SLIPWAY_PARTNER_PROXY": proxy,
            "SLIPWAY_PARTNER_NO_PROXY": "127.0.0.1",
            "SLIPWAY_PARTNER_PROXY_NETWORKS": "127.0.0.0/8",
            "PYTHONPATH": os.fspath(ROOT),
        }
        texts = list(printed(run, ("operators", "apply", "-f", given(gateways), "--why", "x")))
        assert "+ issued" in dict(texts)[texts[1][0]], texts[1]
        with running(run, tmp_path, "console"):
            for process in ("gateway", "flower", "console"):
                eventually(partial(answers, run.address(process)))
            for code in CODES:
                run.delivery.publish(code, ("ticket_win", "t"))
            run.redis.xadd("ticket-events", {"event": "{"})
            eventually(lambda: {row.code for row in run.delivery.rows(ATTEMPTED)} == {*CODES})
            texts += printed(run, ("operators", "ping", "keyed"))
            slipway = CommandLine(monkeypatch, capsys)
            slipway.export(**run.settings)
            pings = [("operators", "ping", code) for code in (*CODES, "issued", "issued")]
            wrong = ("operators", "access", "keyed", "--file", typed_wrong(gateways))
            texts += printed_by(
                slipway, *pings, wrong, ("doctor",), ("operators", "status", "--json")
            )
            shown = [("operators", "access", code, "--json") for code in CODES]
            texts += printed_by(
                slipway, *shown, ("operators", "export"), ("operators", "show", "keyed")
            )
            texts += [*console_shows(run), *pages(run)]
            texts += [*tables(run.delivery.engine), *held_by_redis(run.redis)]
            texts.append(("ps", arguments()))
        canaries = gateways.canaries
        sent = {name: b"\n".join(requests) for name, requests in gateways.requests.items()}
    texts += [(log.name, log.read_text(errors="replace")) for log in tmp_path.glob("*.log")]

    leaks = [(place, secret) for place, what in texts for secret in canaries if secret in what]
    assert leaks == []
    check_that_all_was_tried(sent, dict(texts))


def check_that_all_was_tried(sent: Mapping[str, bytes], places: Mapping[str, str]) -> None:
    """Each credential was used, each failure is named, and each place holds something."""
    for name, credential in (
        ("keyed", b"canary-header"),
        ("borne", b"canary-bearer"),
        ("issued", b"canary-token"),
        ("tokens", b"Authorization: Basic "),
        ("proxied", b"Proxy-Authorization: Basic "),
        ("locked", b"\x16\x03"),  # TLS has begun
    ):
        assert credential in sent[name], name
    attempts = places["table delivery_attempt"]
    for words in ("answered 401", "no token could be had, so nothing was sent", "the proxy http"):
        assert words in attempts, words
    assert "slipway_token_calls_total" in places["deliver /metrics"]
    for place in ("deliver.log", "console /history", "flower /workers", "slipway doctor"):
        assert len(places[place]) > 100, f"{place} holds what was looked for in it"
