"""An operator whose partnership has ended (rule 24): every way in refuses its events."""

import json

import pytest

from tests.support.gateway_app import GatewayApp, event
from tests.support.lottery import bet

REFUSED = "has ended (operator_ended): nothing is accepted"


@pytest.fixture(scope="module")
def acme(built: GatewayApp) -> str:
    """An operator with a reserved ticket, whose partnership has ended."""
    code = built.operator()
    built.reserved(code, ticket_id="R")
    return code


@pytest.fixture(scope="module")
def key(built: GatewayApp, acme: str) -> str:
    return built.key(acme)


@pytest.fixture(scope="module")
def any_key(built: GatewayApp) -> str:
    return built.key()


@pytest.fixture(scope="module", autouse=True)
def ended(built: GatewayApp, acme: str, key: str) -> None:
    built.harness.end_partnership(acme)


@pytest.mark.parametrize("holder", ["key", "any_key"])
@pytest.mark.parametrize("query", [{}, {"dry_run": "true"}], ids=["published", "dry run"])
def test_an_event_is_refused_and_says_why(request, gateway_app, acme, holder, query):
    answer = gateway_app.publish(request.getfixturevalue(holder), event(acme, "T"), **query)

    assert answer.status_code == 422
    assert REFUSED in answer.text
    assert gateway_app.on_stream() == []


@pytest.mark.parametrize("holder", ["key", "any_key"])
def test_of_many_lines_only_its_own_are_refused(request, built, gateway_app, acme, holder):
    holder_key = request.getfixturevalue(holder)
    other = built.operator()
    lines = [event(acme, "T"), event(other, "T")]
    answer = gateway_app.publish_lines(holder_key, "\n".join(map(json.dumps, lines)))

    assert REFUSED in answer.text
    published = [sent["data"]["operator"] for sent in gateway_app.on_stream()]
    assert published == ([other] if holder == "any_key" else [])


def test_a_lottery_message_is_refused(gateway_app, key):
    answer = gateway_app.client.post(
        "/v2/integration/lottery",
        content=bet(),
        headers={"X-Api-Key": key, "Content-Type": "application/json"},
    )

    assert (answer.status_code, REFUSED in answer.text) == (422, True)
    assert gateway_app.on_stream() == []


def test_its_signature_is_good_for_nothing_any_more(gateway_app, acme, caplog):
    with caplog.at_level("INFO"):
        answers = [
            gateway_app.paid(acme, "R"),
            gateway_app.signed("GET", "/be/tickets/R", operator=acme),
            gateway_app.signed("GET", "/be/tickets", operator=acme),
        ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert {record.__dict__.get("flaw") for record in caplog.records} >= {"operator_ended"}


def test_how_its_events_ended_can_still_be_read(gateway_app, key):
    assert gateway_app.ask(key, "/tickets/R").status_code == 200
