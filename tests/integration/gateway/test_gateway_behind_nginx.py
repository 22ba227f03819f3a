"""Behind nginx, which ends TLS: what is published and signed arrives byte by byte."""

import json
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.support.certificates import identity
from tests.support.free_port import free_port
from tests.support.gateway_app import GatewayApp, event
from tests.support.tls_proxy import tls_proxy


@pytest.fixture
def behind(gateway_app: GatewayApp, tmp_path: Path) -> Iterator[GatewayApp]:
    """The gateway at the address of nginx."""
    identity(tmp_path)
    port, direct = free_port(), str(gateway_app.client.base_url).rstrip("/")
    trust = ssl.create_default_context(cafile=str(tmp_path / "partner.pem"))
    with (
        tls_proxy(tmp_path, port=port, location="/", target=direct),
        httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trust, timeout=20) as client,
    ):
        yield replace(gateway_app, client=client)


def test_events_arrive_as_json_and_as_lines(behind: GatewayApp) -> None:
    operator = behind.operator()
    key = behind.key(operator)
    events = [event(operator, f"T{number}", event_id=f"e{number}") for number in range(200)]
    lines = "".join(f"{json.dumps(each)}\n" for each in events[1:])

    single = behind.publish(key, events[0])
    many = behind.publish_lines(key, lines)
    refused = behind.publish("another key", events[0])

    assert (single.status_code, many.status_code, refused.status_code) == (202, 202, 401)
    assert [each["event_id"] for each in behind.on_stream()] == [f"e{n}" for n in range(200)]


def test_a_signature_holds_and_an_escaped_slash_stays_one(behind: GatewayApp) -> None:
    operator = behind.operator()
    ticket = behind.reserved(operator, ticket_id="part/one")

    paid = behind.paid(operator, quote(ticket, safe=""), body=b'{"reason": "of the counter"}')
    wrong = behind.paid(operator, quote(ticket, safe=""), body=b"{}", over=b'{"other": 1}')

    assert (paid.status_code, wrong.status_code) == (200, 403), paid.text
