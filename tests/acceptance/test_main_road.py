"""The main road with every process: an event in, a signed notice out, the ticket closed.

Beside it one trace goes from XADD to the partner's answer, and the closing links to it.
"""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import httpx
import pytest

from models.platform.signing import sign
from producers.simulation.partner import SimulatedPartner
from tests.support.otlp_receiver import OtlpReceiver, ReceivedSpan, otlp_receiver
from tests.support.running_slipway import RunningSlipway, running_slipway
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually

SECRET = "12345ABCDE-12345ABCDE"
CLOSE_DELAY = timedelta(seconds=2)
OPERATOR, TICKET = "operator-code", "1330556611374148608"  # of the partner's own sample requests
TRACED = "acme"
OPERATORS = """
operators:
- {{code: {operator}, url: "{url}", protocol: pam, close_delay: 2s, secret_file: partner.secret}}
- {{code: {traced}, url: "{url}", protocol: pam, close_delay: 1s, secret_file: partner.secret,
    pass_trace: true}}
"""
PARENT = "b7ad6b7169203331"
ON_STREAM, OVER_HTTP, UNRECORDED = (digit * 32 for digit in "abc")

pytestmark = pytest.mark.slow(seconds=5)


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as running:
        yield running


@pytest.fixture(scope="module")
def partner() -> Iterator[SimulatedPartner]:
    with SimulatedPartner(secret=SECRET) as running:
        yield running


@pytest.fixture(scope="module")
def slipway(partner: SimulatedPartner, receiver: OtlpReceiver) -> Iterator[RunningSlipway]:
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_TRACES_SAMPLER": "parentbased_always_off",
    }
    with (
        mock.patch.dict(os.environ, variables),
        passable_folder() as folder,
        running_slipway(folder) as running,
    ):
        (folder / "partner.secret").write_text(SECRET)
        file = folder / "operators.yaml"
        file.write_text(OPERATORS.format(operator=OPERATOR, traced=TRACED, url=partner.url))
        running.command(f"operators apply -f {file} --why 'the main road'")
        yield running


@pytest.fixture(autouse=True)
def well_again(receiver: OtlpReceiver) -> Iterator[None]:
    """Let no later test meet a receiver that misbehaves, nor the processes' end wait for it."""
    yield
    receiver.habit = "takes"


def add(slipway: RunningSlipway, event: str, **more: str) -> None:
    """As a backend does in any language: `redis-cli XADD ticket-events '*' event EVENT`."""
    fields: dict[Any, Any] = {"event": event, **more}
    slipway.redis().xadd("ticket-events", fields)


def win(ticket: str) -> str:
    return json.dumps({"action": "ticket_win", "data": {"operator": TRACED, "ticket_id": ticket}})


def taken_by(partner: SimulatedPartner, ticket_id: str) -> list[str]:
    entries = partner.ledger.entries()
    return [str(entry.action) for entry in entries if entry.ticket_id == ticket_id and entry.taken]


def test_the_documented_line_leads_to_the_partner_s_own_sample_requests(
    slipway: RunningSlipway, partner: SimulatedPartner
):
    """Contracts 1.3, 1.4. Without event_id and occurred_at it is their sample itself."""
    win = (
        '{"action":"ticket_win","data":{"operator":"operator-code",' + f'"ticket_id":"{TICKET}"}}}}'
    )
    add(slipway, win)
    eventually(
        lambda: taken_by(partner, TICKET) == ["ticket_win", "ticket_closed"],
    )

    sent, closed = (entry for entry in partner.ledger.entries() if entry.ticket_id == TICKET)
    assert sent.body == win.encode()
    assert closed.body == win.replace("ticket_win", "ticket_closed").encode()
    for call in (sent, closed):
        headers = dict(call.headers)
        timestamp = int(headers["timestamp"])
        assert headers["signature"] == sign(call.body, timestamp=timestamp, secret=SECRET)
        assert abs(timestamp - datetime.now(UTC).timestamp()) < 60  # noqa: TID251 - the partner's clock
    assert sent.answered_at is not None
    assert closed.received_at - sent.answered_at >= CLOSE_DELAY
    assert [sent.idempotency_key, closed.idempotency_key] == [
        f"{OPERATOR}/{TICKET}/ticket_win/1",
        f"{OPERATOR}/{TICKET}/ticket_closed/1",
    ]


def test_a_rollback_in_between_prevents_the_close_and_the_next_result_starts_a_full_delay(
    slipway: RunningSlipway, partner: SimulatedPartner
):
    began = datetime.now(UTC) - timedelta(seconds=10)  # noqa: TID251 - a backend's clock

    def event(number: int, action: str) -> str:
        return json.dumps(
            {
                "event_id": f"7f{number}",
                "occurred_at": (began + timedelta(milliseconds=number)).isoformat(),
                "action": action,
                "data": {"operator": OPERATOR, "ticket_id": "rolled-back"},
            }
        )

    add(slipway, event(1, "ticket_win"))
    eventually(lambda: taken_by(partner, "rolled-back") == ["ticket_win"])
    add(slipway, event(2, "ticket_rollback"))
    eventually(lambda: taken_by(partner, "rolled-back") == ["ticket_win", "ticket_rollback"])
    add(slipway, event(3, "ticket_lost"))
    eventually(
        lambda: (
            taken_by(partner, "rolled-back")
            == ["ticket_win", "ticket_rollback", "ticket_lost", "ticket_closed"]
        ),
    )

    _, _, lost, closed = (
        entry for entry in partner.ledger.entries() if entry.ticket_id == "rolled-back"
    )
    assert lost.answered_at is not None
    assert closed.received_at - lost.answered_at >= CLOSE_DELAY
    story = json.loads(slipway.command("ticket rolled-back --json"))
    assert "closed" in json.dumps(story)


def traces_named_to(partner: SimulatedPartner, ticket: str) -> list[str | None]:
    entries = partner.ledger.entries()
    return [dict(e.headers).get("traceparent") for e in entries if e.ticket_id == ticket]


def span_of(receiver: OtlpReceiver, name: str, trace_id: str) -> ReceivedSpan:
    """Wait for the one span of this name in a trace."""
    eventually(lambda: receiver.spans(trace_id=trace_id, name=name))
    (span,) = receiver.spans(trace_id=trace_id, name=name)
    return span


def test_from_xadd_to_the_partner_s_answer_and_to_the_closing(slipway, receiver, partner):
    add(slipway, win("1"), traceparent=f"00-{ON_STREAM}-{PARENT}-01")

    process = span_of(receiver, "process ticket-events", ON_STREAM)
    send = span_of(receiver, "send ticket_win", ON_STREAM)
    eventually(lambda: receiver.spans(name="close ticket"))
    (close,) = receiver.spans(name="close ticket")
    closed = span_of(receiver, "send ticket_closed", close.trace_id)
    (receive,) = (
        span for span in receiver.spans(name="receive ticket-events") if ON_STREAM in span.links
    )

    assert (process.parent_id, process.links) == (PARENT, (receive.trace_id,))
    assert (process.service, process.attributes["slipway.outcome"]) == ("slipway-intake", "applied")
    assert (send.service, send.parent_id) == ("slipway-deliver", process.span_id)
    assert send.attributes["http.response.status_code"] == 200
    assert (close.service, close.links) == ("slipway-sweep", (ON_STREAM,))
    assert (close.parent_id, closed.parent_id) == ("", close.span_id)
    assert closed.attributes["slipway.verdict"] == "delivered"
    assert not any(span.failed for span in receiver.spans())
    assert traces_named_to(partner, "1") == [
        f"00-{send.trace_id}-{send.span_id}-01",
        f"00-{closed.trace_id}-{closed.span_id}-01",
    ]
    story = slipway.command("ticket 1")
    assert f"trace {ON_STREAM}" in story
    assert f"trace {close.trace_id}" in story


def test_over_http_the_gateway_publishes_as_part_of_its_caller_s_trace(slipway, receiver):
    key = slipway.command(f"publishers add shop --operator {TRACED} --why 'a trace'").split()[-1]
    answer = httpx.post(
        f"{slipway.gateway_url()}/events",
        content=win("2"),
        headers={
            "X-Api-Key": key,
            "Content-Type": "application/json",
            "traceparent": f"00-{OVER_HTTP}-{PARENT}-01",
        },
    )
    assert answer.status_code == 202, answer.text

    publish = span_of(receiver, "publish ticket-events", OVER_HTTP)
    process = span_of(receiver, "process ticket-events", OVER_HTTP)
    assert (publish.service, publish.parent_id) == ("slipway-gateway", PARENT)
    assert process.parent_id == publish.span_id


def test_a_trace_that_its_caller_does_not_record_is_kept_and_not_exported(
    slipway, receiver, partner
):
    add(slipway, win("3"), traceparent=f"00-{UNRECORDED}-{PARENT}-00")
    eventually(lambda: "ticket_win" in taken_by(partner, "3"))

    assert f"trace {UNRECORDED}" in slipway.command("ticket 3")
    assert receiver.spans(trace_id=UNRECORDED) == []


@pytest.mark.parametrize(("ticket", "habit"), [("4", "refuses"), ("5", "hangs")])
def test_a_receiver_that_refuses_or_hangs_keeps_nothing_from_the_partner(
    slipway, receiver, partner, ticket, habit
):
    receiver.habit = habit
    before = receiver.requests
    add(slipway, win(ticket), traceparent=f"00-{ticket * 32}-{PARENT}-01")

    eventually(lambda: taken_by(partner, ticket) == ["ticket_win", "ticket_closed"])
    eventually(lambda: receiver.requests > before)


def test_spans_that_the_receiver_did_not_take_are_counted_in_the_log(slipway, receiver):
    receiver.habit = "refuses"
    add(slipway, win("6"), traceparent=f"00-{'6' * 32}-{PARENT}-01")

    eventually(lambda: "spans_dropped" in slipway.screen.read_text())
