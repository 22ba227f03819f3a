"""A partner whose terms say so gets the trace of each call, in a header that is not signed."""

import pytest

from models.history.request import find_attempt
from models.tracing.export_settings import Sampling
from models.tracing.span import Attributes
from models.tracing.tracer import Tracer
from models.vocabulary import Action
from producers.simulation.partner import SimulatedPartner
from tests.support.delivery_setup import RUN_MAX, DeliverySetup, delivery_settings
from worker.delivery.loop import DeliveryLoop

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OWN = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
NAME_TRACES = "UPDATE notice SET traceparent = :trace"
PASS_ON = "UPDATE operator SET pass_trace = true"


class OwnSpan:
    """A span whose id is fixed."""

    traceparent = OWN

    def end(self, attributes: Attributes | None = None, *, error: str | None = None) -> None:
        """End it: with the status of the partner's answer."""
        assert (attributes, error) == (
            {"slipway.verdict": "delivered", "http.response.status_code": 200},
            None,
        )


class OwnSpans:
    """Makes such spans."""

    def start(self, name: str, *_: object, parent: str | None, **__: object) -> OwnSpan:
        """Begin one, as part of the notice's trace."""
        assert (name, parent) == (f"send {Action.WIN}", GIVEN)
        return OwnSpan()


def headers_of(partner: SimulatedPartner) -> list[str | None]:
    """Return the trace that each call named."""
    return [dict(entry.headers).get("traceparent") for entry in partner.ledger.entries()]


def test_by_default_nothing_is_passed_on(delivery, partner, acme):
    delivery.publish(acme, ("ticket_win", "t1"))
    delivery.change(NAME_TRACES, trace=GIVEN)
    delivery.deliver()

    assert headers_of(partner) == [None]


@pytest.mark.parametrize("trace", [GIVEN, None], ids=["traced", "without a trace"])
def test_by_its_terms_it_is(delivery, partner, acme, trace):
    delivery.change(PASS_ON)
    delivery.publish(acme, ("ticket_win", "t1"))
    delivery.change(NAME_TRACES, trace=trace)
    delivery.deliver()

    assert headers_of(partner) == [trace]
    assert [entry.taken for entry in partner.ledger.entries()] == [True], "the signature is valid"
    with delivery.engine.connect() as connection:
        (notice,) = delivery.rows("SELECT id FROM notice")
        shown = find_attempt(connection, notice.id)
    assert shown is not None
    assert dict(shown.request.headers).get("traceparent") == trace


def test_where_spans_are_exported_it_is_the_span_of_the_attempt(
    delivery: DeliverySetup, partner, acme
):
    delivery.change(PASS_ON)
    delivery.publish(acme, ("ticket_win", "t1"))
    delivery.change(NAME_TRACES, trace=GIVEN)
    loop = DeliveryLoop(
        transaction=delivery.engine.begin,
        clock=delivery.clock,
        settings=delivery_settings(),
        vault=delivery.vault,
        tracer=Tracer(OwnSpans(), Sampling(0.0)),
    )
    delivery.closing.callback(loop.close)
    loop.run(lasting=RUN_MAX)

    assert headers_of(partner) == [OWN]
