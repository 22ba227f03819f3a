"""The gateway as its line in the Procfile starts it: JSON logs, and a clean stop."""

import json
import shlex
import signal
import socket
import sys
import time
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from models.platform.encryption import Vault
from tests.support.celery_process import ENDING_MAX, ROOT, environment, must_live
from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.fork_server import Popen
from tests.support.free_port import free_port
from tests.support.gateway_app import GatewayApp, harness_of_today
from tests.support.plain_http import NO_AUTHORITIES
from tests.support.wait import eventually

GRACEFUL = "--timeout-graceful-shutdown"
PAUSE = 0.5
GRACEFUL_SECONDS = 60  # instead of 10: idle connections must not use it up


def command(port: int) -> list[str]:
    """The gateway's line in the Procfile, on this port."""
    (line,) = [
        line.partition(":")[2]
        for line in (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
        if line.startswith("gateway:")
    ]
    line = line.replace("${SLIPWAY_GATEWAY_PORT:-8000}", str(port))
    line = line.replace(f"{GRACEFUL} 10", f"{GRACEFUL} {GRACEFUL_SECONDS}")
    line = line.replace("${SLIPWAY_KEEP_ALIVE_SECONDS:-75}", "75")
    words = shlex.split(line.replace("${SLIPWAY_BIND_ADDRESS:-127.0.0.1}", "127.0.0.1"))
    return [sys.executable, "-m", *words]


@pytest.mark.slow
def test_told_to_stop_it_finishes_what_is_under_way_and_ends_well(
    tmp_path: Path, engine, database, redis, redis_url
):
    env = environment(tmp_path, database_url=database, redis_url=redis_url)
    vault = Vault.with_keys([SecretStr(env["SLIPWAY_SECRET_KEY"])])
    port, log = free_port(), tmp_path / "gateway.log"
    with (
        log.open("wb") as output,
        Popen[bytes](command(port), cwd=ROOT, env=env, stdout=output, stderr=output) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
    ):
        try:
            gateway_app = GatewayApp(client, engine, redis, harness_of_today(engine), vault)

            def ready() -> bool:
                must_live(process, log)
                try:
                    return client.get("/readyz").status_code == 200
                except httpx.TransportError:
                    return False

            acme = gateway_app.operator()
            ticket = gateway_app.reserved(acme)
            eventually(ready)
            refused = gateway_app.signed("GET", "/be/tickets", operator=acme, secret="wrong")
            with engine.connect() as obstacle:
                obstacle.exec_driver_sql("SELECT 1 FROM ticket FOR UPDATE")
                with beside(lambda: gateway_app.paid(acme, ticket)) as payment:
                    waiting_sessions(engine)
                    process.send_signal(signal.SIGTERM)
                    eventually(lambda: is_closed(port))
                    obstacle.rollback()
                    answer = payment.result()
            code = process.wait(ENDING_MAX.total_seconds())
        finally:
            process.kill()

    assert (answer.status_code, answer.json()["status"]) == (200, "open")
    assert code == -signal.SIGTERM  # uvicorn ends by the signal, when all is done
    assert refused.status_code == 403
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert {"signature_refused"} <= {record["event"] for record in records}
    assert [record for record in records if record["level"] == "ERROR"] == []


@pytest.mark.slow
def test_a_proxy_may_use_a_connection_again_after_a_pause(tmp_path: Path, database, redis_url):
    """And none of them holds up the end. How long one is kept: test_idle_connections."""
    env = environment(tmp_path, database_url=database, redis_url=redis_url)
    port, log = free_port(), tmp_path / "gateway.log"
    with (
        log.open("wb") as output,
        Popen[bytes](command(port), cwd=ROOT, env=env, stdout=output, stderr=output) as process,
    ):
        try:
            eventually(lambda: not is_closed(port))
            with (
                socket.create_connection(("127.0.0.1", port), timeout=30) as used,
                socket.create_connection(("127.0.0.1", port), timeout=30) as unused,
            ):
                first = ask(used)
                assert closed_within(used, seconds=PAUSE) is False
                second = ask(used)
                process.send_signal(signal.SIGTERM)
                began = time.monotonic()
                code = process.wait(ENDING_MAX.total_seconds())
                took = time.monotonic() - began
                assert closed_within(used, seconds=1)
                assert closed_within(unused, seconds=1)
        finally:
            process.kill()

    assert first.startswith(b"HTTP/1.1 200")
    assert second.startswith(b"HTTP/1.1 200")
    assert code == -signal.SIGTERM
    assert took < GRACEFUL_SECONDS / 2


def ask(connection: socket.socket) -> bytes:
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n")
    answer = b""
    while not answer.endswith(b"}"):
        answer += connection.recv(65_536)
    return answer


def closed_within(connection: socket.socket, *, seconds: float) -> bool:
    connection.settimeout(seconds)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def is_closed(port: int) -> bool:
    """Return whether no process listens there any more."""
    try:
        httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=30, verify=NO_AUTHORITIES)
    except httpx.TransportError:
        return True
    return False
