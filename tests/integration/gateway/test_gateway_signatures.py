"""An operator's signature opens the Bet Engine API, and only for its own tickets."""

import time
from typing import Any

import pytest

from tests.support.gateway_app import SECRET, GatewayApp


@pytest.fixture(scope="module")
def acme(built: GatewayApp) -> str:
    return built.operator()


def test_a_signature_over_the_body_without_spaces_is_as_good(gateway_app, acme):
    """Contracts 5.1: as verifier accept both readings."""
    ticket = gateway_app.reserved(acme)
    body = b'{"reason": "of the counter"}'

    answer = gateway_app.paid(acme, ticket, body=body, over=body.replace(b" ", b""))

    assert answer.status_code == 200


def refused(gateway_app: GatewayApp, operator: str, **wrong: Any) -> None:  # noqa: ANN401 - handed on to `signed`
    answer = gateway_app.signed("GET", "/be/tickets", operator=operator, **wrong)
    assert answer.status_code == 403
    assert set(answer.json()) == {"code", "message"}
    assert answer.json()["code"] == 403


@pytest.mark.parametrize("header", ["timestamp", "operator-name", "signature"])
def test_without_one_of_the_three_headers_access_is_refused(gateway_app, acme, header):
    refused(gateway_app, acme, leave_out=[header])


@pytest.mark.parametrize("seconds", [-302, 302])
def test_a_timestamp_of_another_time_is_refused(gateway_app, acme, seconds):
    refused(gateway_app, acme, at=int(time.time()) + seconds)


@pytest.mark.parametrize("seconds", [-290, 290])
def test_a_clock_that_is_some_minutes_off_is_let_in(gateway_app, acme, seconds):
    at = int(time.time()) + seconds

    assert gateway_app.signed("GET", "/be/tickets", operator=acme, at=at).status_code == 200


def test_another_secret_another_body_and_an_unknown_name_are_refused_alike(gateway_app, acme):
    refused(gateway_app, acme, secret=SECRET + "x")
    refused(gateway_app, acme, body=b"{}", over=b"")
    refused(gateway_app, "nobody")
    refused(gateway_app, "n" * 1000)
    answers = {
        gateway_app.signed("GET", "/be/tickets", operator=acme, secret="x").content,
        gateway_app.signed("GET", "/be/tickets", operator="nobody").content,
    }
    assert len(answers) == 1


def test_another_operator_s_signature_opens_none_of_these_tickets(gateway_app, acme):
    ticket = gateway_app.reserved(acme)
    other = gateway_app.operator()

    assert gateway_app.paid(other, ticket).json()["code"] == 102
    assert gateway_app.signed("GET", f"/be/tickets/{ticket}", operator=other).json()["code"] == 102
    assert gateway_app.signed("GET", "/be/tickets", operator=other).json() == []


def test_a_publisher_s_key_opens_nothing_here(gateway_app, acme):
    answer = gateway_app.ask(gateway_app.key(acme), "/be/tickets")

    assert answer.status_code == 403


def test_a_disabled_operator_may_go_on_asking_and_paying(gateway_app):
    """`disable` holds the notices, and events are still applied."""
    operator = gateway_app.operator()
    ticket = gateway_app.reserved(operator)
    gateway_app.harness.disable(operator)

    assert gateway_app.paid(operator, ticket).status_code == 200
