"""One trace through all processes, from XADD to the partner's answer; the closing links to it."""

import json
import os
from collections.abc import Iterator
from unittest import mock

import httpx
import pytest

from producers.simulation.partner import SimulatedPartner
from tests.support.otlp_receiver import OtlpReceiver, ReceivedSpan, otlp_receiver
from tests.support.running_slipway import RunningSlipway, running_slipway
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually

SECRET = "12345ABCDE-12345ABCDE"
PARENT = "b7ad6b7169203331"
ON_STREAM, OVER_HTTP, UNRECORDED = (digit * 32 for digit in "abc")


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
        secret = folder / "partner.secret"
        secret.write_text(SECRET)
        running.command(
            f"operators add acme --url {partner.url} --protocol pam --close-delay 1s"
            f" --secret-file {secret} --pass-trace --why 'a trace'"
        )
        yield running


@pytest.fixture(autouse=True)
def well_again(receiver: OtlpReceiver) -> Iterator[None]:
    """Let no later test meet a receiver that misbehaves, nor the processes' end wait for it."""
    yield
    receiver.habit = "takes"


def win(ticket: str) -> str:
    return json.dumps({"action": "ticket_win", "data": {"operator": "acme", "ticket_id": ticket}})


def taken_by(partner: SimulatedPartner, ticket: str) -> list[str]:
    entries = partner.ledger.entries()
    return [str(entry.action) for entry in entries if entry.ticket_id == ticket and entry.taken]


def traces_named_to(partner: SimulatedPartner, ticket: str) -> list[str | None]:
    entries = partner.ledger.entries()
    return [dict(e.headers).get("traceparent") for e in entries if e.ticket_id == ticket]


def span_of(receiver: OtlpReceiver, name: str, trace_id: str) -> ReceivedSpan:
    """Wait for the one span of this name in a trace."""
    eventually(lambda: receiver.spans(trace_id=trace_id, name=name))
    (span,) = receiver.spans(trace_id=trace_id, name=name)
    return span


@pytest.mark.slow(seconds=30)
def test_from_xadd_to_the_partner_s_answer_and_to_the_closing(slipway, receiver, partner):
    fields: dict[str | bytes, str | bytes] = {
        "event": win("1"),
        "traceparent": f"00-{ON_STREAM}-{PARENT}-01",
    }
    slipway.redis().xadd("ticket-events", fields)

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


@pytest.mark.slow(seconds=5)
def test_over_http_the_gateway_publishes_as_part_of_its_caller_s_trace(slipway, receiver):
    key = slipway.command("publishers add shop --operator acme --why 'a trace'").split()[-1]
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


@pytest.mark.slow(seconds=5)
def test_a_trace_that_its_caller_does_not_record_is_kept_and_not_exported(
    slipway, receiver, partner
):
    fields: dict[str | bytes, str | bytes] = {
        "event": win("3"),
        "traceparent": f"00-{UNRECORDED}-{PARENT}-00",
    }
    slipway.redis().xadd("ticket-events", fields)
    eventually(lambda: "ticket_win" in taken_by(partner, "3"))

    assert f"trace {UNRECORDED}" in slipway.command("ticket 3")
    assert receiver.spans(trace_id=UNRECORDED) == []


@pytest.mark.slow(seconds=5)
@pytest.mark.parametrize(("ticket", "habit"), [("4", "refuses"), ("5", "hangs")])
def test_a_receiver_that_refuses_or_hangs_keeps_nothing_from_the_partner(
    slipway, receiver, partner, ticket, habit
):
    receiver.habit = habit
    before = receiver.requests
    fields: dict[str | bytes, str | bytes] = {
        "event": win(ticket),
        "traceparent": f"00-{ticket * 32}-{PARENT}-01",
    }
    slipway.redis().xadd("ticket-events", fields)

    eventually(lambda: taken_by(partner, ticket) == ["ticket_win", "ticket_closed"])
    eventually(lambda: receiver.requests > before)


@pytest.mark.slow(seconds=5)
def test_spans_that_the_receiver_did_not_take_are_counted_in_the_log(slipway, receiver):
    receiver.habit = "refuses"
    fields: dict[str | bytes, str | bytes] = {
        "event": win("6"),
        "traceparent": f"00-{'6' * 32}-{PARENT}-01",
    }
    slipway.redis().xadd("ticket-events", fields)

    eventually(lambda: "spans_dropped" in slipway.screen.read_text())
