"""A signed test shows whether the partner accepts our signature, and touches no ticket."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import text

from models.operators.partners import find_partner
from producers.simulation.partner import Respond, Rule, SimulatedPartner, Wallet
from tests.support.closed_port import closed_port
from tests.support.delivery_setup import SECRET, DeliverySetup, delivery_settings
from worker.delivery.http.limits import TransferLimits
from worker.delivery.ping import (
    CallsNotSigned,
    PingResult,
    SignatureCheck,
    ping_as_configured,
    ping_signed,
)

TIMEOUT = timedelta(seconds=5)


def run_test(delivery: DeliverySetup, code: str = "acme", *, secret: str = SECRET) -> PingResult:
    now = delivery.clock.now()
    with delivery.engine.begin() as connection:
        partner = find_partner(connection, code, now=now)
    assert partner is not None
    limits = TransferLimits.of(delivery_settings())
    return ping_signed(partner, secret=secret, at=now, limits=limits, timeout=TIMEOUT)


def test_a_partner_verifies_it_and_nothing_is_stored_here(delivery, acme, partner):
    first, second = run_test(delivery), run_test(delivery)

    entries = partner.ledger.entries()
    bodies = [json.loads(entry.body) for entry in entries]
    ids = {entry.ticket_id for entry in entries}
    assert (first.there, first.signature, first.status) == (True, SignatureCheck.ACCEPTED, 200)
    assert (first.remote_address, first.problem) == ("127.0.0.1", None)
    assert [entry.signature_ok for entry in entries] == [True, True]
    assert bodies[0]["action"] == "ticket_discard"
    assert bodies[0]["data"]["reason"] == "slipway-test-touches-no-ticket"
    assert len(ids) == 2, "each has an id of its own"
    assert all(id_.startswith("slipway-test-") for id_ in ids)
    assert not any(entry.repeats for entry in entries)
    assert second.sent != first.sent
    for table in ("ticket", "ticket_event", "notice", "delivery_attempt", "circuit"):
        with delivery.engine.begin() as connection:
            count = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608 - a constant
        assert count == 0, table


def test_another_secret_is_refused_and_the_response_does_not_repeat_ours(delivery, acme, partner):
    wrong = run_test(delivery, secret="another-secret")
    partner.behave(Rule(Respond(401, body=f"no {SECRET}".encode())))
    repeated = run_test(delivery)

    assert (wrong.there, wrong.status) == (False, 403)
    assert wrong.signature is SignatureCheck.REFUSED
    assert repeated.signature is SignatureCheck.REFUSED
    assert repeated.beginning == "no (secret)"


@pytest.mark.parametrize(
    ("status", "body", "there"),
    [
        (204, b"", True),
        (400, b'{"code":102,"message":"Ticket is not found"}', True),
        (404, b'{"code":102,"message":"Ticket is not found"}', True),
        (400, b'{"code":true}', False),
        (404, b"<html>no such page</html>", False),
        (400, b"[" * 60_000, False),
        (302, b"", False),
        (500, b'{"code":100,"message":"oops"}', False),
    ],
)
def test_a_refusal_that_the_contract_knows_is_as_good_as_a_success(
    delivery, acme, partner, status, body, there
):
    partner.behave(Rule(Respond(status, body=body)))

    result = run_test(delivery)

    assert result.there is there
    assert result.signature is (SignatureCheck.ACCEPTED if there else SignatureCheck.UNKNOWN)


def test_without_a_response_nothing_is_known_about_the_signature(delivery):
    delivery.operator("acme", f"http://127.0.0.1:{closed_port()}/")

    result = run_test(delivery)

    assert (result.there, result.signature) == (False, SignatureCheck.UNKNOWN)
    assert result.problem


def test_a_wallet_gets_a_signed_question_and_moves_no_money(delivery):
    with SimulatedPartner(wallet=Wallet(SECRET, agent="us", demands_signature=True)) as wallet:
        delivery.operator("house", wallet.url, protocol="seamless", agent="us", sign_calls=True)
        right = run_test(delivery, "house")
        wrong = run_test(delivery, "house", secret="another-secret")
        (question, refused) = wallet.ledger.entries()

    assert (right.there, right.signature) == (True, SignatureCheck.ACCEPTED)
    assert (wrong.there, wrong.signature) == (False, SignatureCheck.REFUSED)
    assert (question.path, question.signature_ok) == ("/balance", True)
    assert refused.signature_ok is False


def test_a_wallet_whose_calls_are_not_signed_has_nothing_to_test(delivery):
    delivery.operator("house", "http://127.0.0.1:9/", protocol="seamless", agent="us")

    with pytest.raises(CallsNotSigned, match="operators set house --sign"):
        run_test(delivery, "house")


@pytest.mark.parametrize("signed", [False, True])
def test_a_ping_waits_as_long_as_a_delivery_to_this_partner(delivery, acme, partner, signed):
    partner.behave(Rule(Respond(seconds=0.6)))
    settings = delivery_settings(partner_timeout=timedelta(milliseconds=200))

    def there() -> bool:
        now = delivery.clock.now()
        with delivery.engine.begin() as connection:
            configured = find_partner(connection, "acme", now=now)
        assert configured is not None
        return ping_as_configured(
            configured, signed=signed, at=now, vault=delivery.vault, settings=settings
        ).there

    as_all_others = there()
    delivery.change("UPDATE operator SET timeout = interval '5 seconds'")

    assert (as_all_others, there()) == (False, True)
