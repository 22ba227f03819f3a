"""The gateway as its line in the Procfile starts it: JSON logs, and a clean stop."""

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from models.encryption import Vault
from tests.support.celery_process import ENDING_MAX, ROOT, environment, must_live
from tests.support.closed_port import closed_port
from tests.support.gateway_house import House, desk_of_today
from tests.support.threads import beside, waiting_sessions
from tests.support.wait import eventually


def command(port: int) -> list[str]:
    """The gateway's line in the Procfile, on this port."""
    (line,) = [
        line.partition(":")[2]
        for line in (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
        if line.startswith("gateway:")
    ]
    line = line.replace("${SLIPWAY_GATEWAY_PORT:-8000}", str(port))
    words = shlex.split(line.replace("${SLIPWAY_BIND_ADDRESS:-127.0.0.1}", "127.0.0.1"))
    return [sys.executable, "-m", *words]


@pytest.mark.slow
def test_told_to_stop_it_finishes_what_is_under_way_and_ends_well(
    tmp_path: Path, engine, database, redis, redis_url
):
    env = environment(tmp_path, database_url=database, redis_url=redis_url)
    vault = Vault.with_keys([SecretStr(env["SLIPWAY_SECRET_KEY"])])
    port, log = closed_port(), tmp_path / "gateway.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command(port), cwd=ROOT, env=env, stdout=output, stderr=output) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
    ):
        try:
            house = House(client, engine, redis, desk_of_today(engine), vault)

            def ready() -> bool:
                must_live(process, log)
                try:
                    return client.get("/readyz").status_code == 200
                except httpx.TransportError:
                    return False

            acme = house.operator()
            ticket = house.reserved(acme)
            eventually(ready)
            refused = house.signed("GET", "/be/tickets", operator=acme, secret="wrong")
            with engine.connect() as obstacle:
                obstacle.exec_driver_sql("SELECT 1 FROM ticket FOR UPDATE")
                with beside(lambda: house.paid(acme, ticket)) as payment:
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


def is_closed(port: int) -> bool:
    """Whether nobody listens there any more."""
    try:
        httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
    except httpx.TransportError:
        return True
    return False
