"""A partner whose terms say so gets the trace of each call, in a header that is not signed."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from models.history.request import find_attempt
from models.operators.partners import find_partner
from models.outbox.send_again import send_again
from models.tracing.export_settings import Sampling
from models.tracing.span import Attributes, SpanKind
from models.tracing.tracer import Tracer
from producers.simulation.partner import Respond, Rule, SimulatedPartner, Wallet
from tests.support.delivery_setup import RUN_MAX, SECRET, DeliverySetup, delivery_settings
from tests.support.wallet_setup import settle
from worker.delivery.http.limits import TransferLimits
from worker.delivery.loop import DeliveryLoop
from worker.delivery.ping import ping, ping_signed

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNRECORDED = GIVEN[:-2] + "00"
NAME_TRACES = "UPDATE notice SET traceparent = :trace"
PASS_ON = "UPDATE operator SET pass_trace = :passed"


class NumberedSpan:
    """A span whose id is the number of its attempt."""

    def __init__(self, number: int) -> None:
        self.traceparent = f"{GIVEN[:36]}{number:016x}-01"

    def end(self, attributes: Attributes | None = None, *, error: str | None = None) -> None:
        """End it."""


class NumberedSpans:
    """Makes them."""

    def start(
        self,
        _name: str,
        _kind: SpanKind,
        *,
        parent: str | None,
        links: Sequence[str],  # noqa: ARG002 - of the protocol
        attributes: Attributes,
    ) -> NumberedSpan:
        """Begin one, as part of the notice's trace."""
        assert parent == GIVEN
        return NumberedSpan(int(attributes["http.request.resend_count"]) + 1)


def headers_of(partner: SimulatedPartner) -> list[Mapping[str, str]]:
    return [dict(entry.headers) for entry in partner.ledger.entries()]


def named_to(partner: SimulatedPartner) -> list[str | None]:
    """Return the trace that each call named."""
    return [headers.get("traceparent") for headers in headers_of(partner)]


def shown(delivery: DeliverySetup) -> list[str | None]:
    """Return the trace that each attempt is shown with, in the order of the calls."""
    rows = delivery.attempts("notice, claim")
    with delivery.engine.connect() as connection:
        attempts = [find_attempt(connection, row.notice, row.claim) for row in rows]
    return [
        dict(attempt.request.headers).get("traceparent")
        for attempt in attempts
        if attempt is not None
    ]


def test_by_default_nothing_is_passed_on(delivery, partner, acme):
    delivery.publish(acme, ("ticket_win", "t1"))
    delivery.change(NAME_TRACES, trace=GIVEN)
    delivery.deliver()

    assert named_to(partner) == shown(delivery) == [None]


@pytest.mark.parametrize("trace", [GIVEN, UNRECORDED, None], ids=["traced", "unrecorded", "none"])
def test_by_its_terms_the_publisher_s_trace_is_passed_on_beside_a_valid_signature(
    delivery, partner, acme, trace
):
    delivery.change(PASS_ON, passed=True)
    delivery.publish(acme, ("ticket_win", "t1"))
    delivery.change(NAME_TRACES, trace=trace)
    delivery.deliver()

    assert [entry.signature_ok for entry in partner.ledger.entries()] == [True]
    assert named_to(partner) == shown(delivery) == [trace]
    assert not any("tracestate" in headers for headers in headers_of(partner))


def test_a_wallet_gets_it_too(delivery):
    with SimulatedPartner(wallet=Wallet(SECRET, agent="agentId"), now=delivery.clock.now) as wallet:
        delivery.operator("house", wallet.url, protocol="seamless", agent="agentId")
        delivery.change(PASS_ON, passed=True)
        settle(delivery, "ticket_win")
        delivery.change(NAME_TRACES, trace=GIVEN)
        delivery.deliver()

    assert named_to(wallet) == shown(delivery) == [GIVEN]


def test_each_attempt_and_each_repeat_names_the_trace_and_shows_what_it_named(
    delivery, partner, acme
):
    delivery.change(PASS_ON, passed=True)
    delivery.publish(acme, ("ticket_win", "t1"))
    delivery.change(NAME_TRACES, trace=GIVEN)
    partner.behave(Rule(Respond(503)))
    delivery.deliver()
    partner.behave_well()
    delivery.clock.advance(timedelta(minutes=1))
    delivery.deliver()
    (notice,) = delivery.rows("SELECT id FROM notice")
    with delivery.engine.begin() as connection:
        send_again(connection, notice.id, now=delivery.clock.now())
    delivery.deliver()
    delivery.change(PASS_ON, passed=False)

    assert named_to(partner) == shown(delivery) == [GIVEN] * 3


def test_where_spans_are_exported_it_is_the_span_of_the_attempt(
    delivery: DeliverySetup, partner, acme
):
    delivery.change(PASS_ON, passed=True)
    delivery.publish(acme, ("ticket_win", "t1"))
    delivery.change(NAME_TRACES, trace=GIVEN)
    loop = DeliveryLoop(
        transaction=delivery.engine.begin,
        clock=delivery.clock,
        settings=delivery_settings(),
        vault=delivery.vault,
        tracer=Tracer(NumberedSpans(), Sampling(0.0)),
    )
    delivery.closing.callback(loop.close)
    partner.behave(Rule(Respond(503)))
    loop.run(lasting=RUN_MAX)
    partner.behave_well()
    delivery.clock.advance(timedelta(minutes=1))
    loop.run(lasting=RUN_MAX)

    own = [NumberedSpan(1).traceparent, NumberedSpan(2).traceparent]
    assert named_to(partner) == shown(delivery) == own


def test_a_ping_and_a_signed_test_belong_to_no_trace(delivery, partner, acme):
    delivery.change(PASS_ON, passed=True)
    limits, timeout = TransferLimits.of(delivery_settings()), timedelta(seconds=30)
    with delivery.engine.connect() as connection:
        terms = find_partner(connection, acme, now=delivery.clock.now())
    assert terms is not None
    assert terms.pass_trace

    assert ping(terms, secret=SECRET, limits=limits, timeout=timeout).there
    assert ping_signed(
        terms, secret=SECRET, at=delivery.clock.now(), limits=limits, timeout=timeout
    ).there
    assert named_to(partner) == [None, None]
