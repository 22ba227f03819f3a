"""The Bet Engine API is opened by an operator's signature, and to its own tickets only."""

import time
from typing import Any

import pytest

from tests.support.gateway_house import SECRET, House


@pytest.fixture(scope="module")
def acme(built: House) -> str:
    return built.operator()


def test_a_signature_over_the_body_without_spaces_is_as_good(house, acme):
    """Contracts 5.1: as verifier accept both readings."""
    ticket = house.reserved(acme)
    body = b'{"reason": "of the counter"}'

    answer = house.paid(acme, ticket, body=body, over=body.replace(b" ", b""))

    assert answer.status_code == 200


def refused(house: House, operator: str, **wrong: Any) -> None:  # noqa: ANN401 - handed on to `signed`
    answer = house.signed("GET", "/be/tickets", operator=operator, **wrong)
    assert answer.status_code == 403
    assert set(answer.json()) == {"code", "message"}
    assert answer.json()["code"] == 403


@pytest.mark.parametrize("header", ["timestamp", "operator-name", "signature"])
def test_without_one_of_the_three_headers_access_is_refused(house, acme, header):
    refused(house, acme, leave_out=[header])


@pytest.mark.parametrize("seconds", [-302, 302])
def test_a_timestamp_of_another_time_is_refused(house, acme, seconds):
    refused(house, acme, at=int(time.time()) + seconds)


@pytest.mark.parametrize("seconds", [-290, 290])
def test_a_clock_that_is_some_minutes_off_is_let_in(house, acme, seconds):
    at = int(time.time()) + seconds

    assert house.signed("GET", "/be/tickets", operator=acme, at=at).status_code == 200


def test_another_secret_another_body_and_an_unknown_name_are_refused_alike(house, acme):
    refused(house, acme, secret=SECRET + "x")
    refused(house, acme, body=b"{}", over=b"")
    refused(house, "nobody")
    refused(house, "n" * 1000)
    answers = {
        house.signed("GET", "/be/tickets", operator=acme, secret="x").content,
        house.signed("GET", "/be/tickets", operator="nobody").content,
    }
    assert len(answers) == 1


def test_another_operator_s_signature_opens_none_of_these_tickets(house, acme):
    ticket = house.reserved(acme)
    other = house.operator()

    assert house.paid(other, ticket).json()["code"] == 102
    assert house.signed("GET", f"/be/tickets/{ticket}", operator=other).json()["code"] == 102
    assert house.signed("GET", "/be/tickets", operator=other).json() == []


def test_a_publisher_s_key_opens_nothing_here(house, acme):
    answer = house.ask(house.key(acme), "/be/tickets")

    assert answer.status_code == 403


def test_a_disabled_operator_may_go_on_asking_and_paying(house):
    """design.md 4: `disable` holds the notices, events go on being applied."""
    operator = house.operator()
    ticket = house.reserved(operator)
    house.desk.disable(operator)

    assert house.paid(operator, ticket).status_code == 200
