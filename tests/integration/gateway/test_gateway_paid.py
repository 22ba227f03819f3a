"""`POST /be/tickets/{identifier}/paid`: what it does, and its errors byte for byte."""

import json

import pytest
from sqlalchemy import text

from tests.support.gateway_app import GatewayApp
from tests.support.harness import AMOUNTS
from tests.support.sources import ROOT

SAMPLES = ROOT / "tests" / "samples"


def paid_error(code: int, **names: str) -> bytes:
    """The specification's body for *code*, as bytes, with *names* in place of its braces."""
    bodies = json.loads((SAMPLES / "bet_engine_paid_errors.json").read_text(encoding="utf-8"))
    (body,) = [error for error in bodies if error["code"] == code]
    for name, value in names.items():
        body["message"] = body["message"].replace("{" + name.replace("_", "-") + "}", value)
    return json.dumps(body, separators=(",", ":")).encode()


@pytest.fixture(scope="module")
def acme(built: GatewayApp) -> str:
    return built.operator()


@pytest.fixture(scope="module")
def wallet(built: GatewayApp) -> str:
    return built.operator(protocol="seamless")


@pytest.mark.parametrize("by", ["id", "code"])
def test_paid_opens_a_reserved_ticket_and_answers_with_it(gateway_app, acme, by):
    ticket = gateway_app.reserved(acme)

    answer = gateway_app.paid(acme, ticket if by == "id" else f"CODE-{ticket}")

    assert answer.status_code == 200
    assert (answer.json()["id"], answer.json()["status"]) == (ticket, "open")
    with gateway_app.engine.connect() as connection:
        logged = connection.execute(
            text(
                "SELECT e.action, e.outcome, e.status_before, e.status_after, t.status"
                " FROM ticket_event e JOIN ticket t ON t.id = e.ticket"
                " WHERE t.ticket_id = :ticket AND e.action = 'ticket_paid'"
            ),
            {"ticket": ticket},
        ).all()
    assert [tuple(row) for row in logged] == [
        ("ticket_paid", "applied", "reserved", "open", "open")
    ]


def test_what_waited_for_the_payment_is_decided_with_it(gateway_app, acme):
    """Rule 5: what changes a ticket also decides its parked events."""
    ticket = gateway_app.reserved(acme)
    gateway_app.harness.say("ticket_lost", ticket, operator=acme)

    answer = gateway_app.paid(acme, ticket)

    assert (answer.json()["status"], answer.json()["result"]) == ("resulted", "lost")


def test_paid_twice_is_error_117_byte_for_byte(gateway_app, acme):
    ticket = gateway_app.reserved(acme)
    gateway_app.paid(acme, ticket)

    answer = gateway_app.paid(acme, ticket)

    assert (answer.status_code, answer.content) == (400, paid_error(117))


def test_paid_for_a_ticket_nobody_knows_is_error_102_byte_for_byte(gateway_app, acme):
    answer = gateway_app.paid(acme, "668ef666333180bba97f0c93")

    expected = paid_error(102, ticket_id="668ef666333180bba97f0c93")
    assert (answer.status_code, answer.content) == (400, expected)


def test_paid_for_a_seamless_operator_is_error_100_byte_for_byte(gateway_app, wallet):
    answer = gateway_app.paid(wallet, "whatever")

    assert (answer.status_code, answer.content) == (400, paid_error(100, feature="paid"))


@pytest.mark.parametrize(
    ("path", "feature"), [("/be/tickets", "create"), ("/be/tickets/reserve", "reserve")]
)
def test_what_is_not_offered_says_so_by_its_name(gateway_app, acme, path, feature):
    answer = gateway_app.signed("POST", path, operator=acme, body=b'{"operator": "acme"}')

    assert (answer.status_code, answer.content) == (400, paid_error(100, feature=feature))


def test_a_ticket_that_only_parked_events_speak_of_is_not_there(gateway_app, acme):
    """Rule 1: status `absent` is never shown."""
    ticket = gateway_app.name("ticket")
    gateway_app.harness.say("ticket_rollback", ticket, operator=acme)

    assert gateway_app.paid(acme, ticket).json()["code"] == 102
    assert gateway_app.signed("GET", f"/be/tickets/{ticket}", operator=acme).json()["code"] == 102
    assert ticket not in gateway_app.signed("GET", "/be/tickets?limit=100", operator=acme).text


def test_a_ticket_the_partner_has_not_answered_for_is_not_reserved_yet(gateway_app, acme):
    ticket = gateway_app.name("ticket")
    slip = {**AMOUNTS, "ticket_code": "C", "player_id": "p", "currency": "EUR"}
    gateway_app.harness.say("ticket_reserve", ticket, operator=acme, ticket_type="quickbet", **slip)

    assert gateway_app.paid(acme, ticket).json()["code"] == 117


def test_an_id_is_tried_before_a_code_and_the_newest_of_a_code_is_meant(gateway_app, acme):
    old = gateway_app.reserved(acme, ticket_code="AB12")
    new = gateway_app.reserved(acme, ticket_code="AB12")
    same = gateway_app.reserved(acme, ticket_code=old)

    assert gateway_app.signed("GET", "/be/tickets/AB12", operator=acme).json()["id"] == new
    assert gateway_app.signed("GET", f"/be/tickets/{old}", operator=acme).json()["id"] == old
    assert same != old


@pytest.mark.parametrize("ticket_id", ["a/b", "50%2F", "..", "größe", "?x=1#y"])
def test_any_id_can_be_asked_for(gateway_app, acme, ticket_id):
    gateway_app.reserved(acme, ticket_id=ticket_id)
    escaped = {"..": "%2e%2e"}.get(ticket_id) or quoted(ticket_id)

    answer = gateway_app.paid(acme, escaped)

    assert (answer.status_code, answer.json().get("id")) == (200, ticket_id)


def quoted(text_: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text_.encode())


@pytest.mark.parametrize("identifier", ["%00", "%20", "x" * 65, "%FF", "%ED%A0%80"])
def test_what_can_be_no_id_is_not_found_either(gateway_app, acme, identifier):
    answer = gateway_app.paid(acme, identifier)

    assert (answer.status_code, answer.json()["code"]) == (400, 102)
