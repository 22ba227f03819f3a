"""The simulated seamless wallet as a client sees it: strict about calls, exact about money."""

import http.client
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from models.platform.signing import sign_seamless
from producers.simulation.partner import (
    CloseWithoutAnswer,
    RespondAsWallet,
    Rule,
    SimulatedPartner,
    Wallet,
)
from tests.support.partner_client import SECRET, ask, line_to

PAYOUT: dict[str, Any] = {
    "username": "member001",
    "agent": "agentId",
    "game": "Ghost House",
    "gameId": "GH",
    "roundId": "round-1",
    "amount": 12.34,
    "turnover": 250,
    "currency": "THB",
    "transactionId": str(UUID(int=1)),
    "timestamp": "2019-12-11T19:57:28.431",
    "isEndRound": True,
    "featureBuy": True,
}
CANCEL = {
    name: value
    for name, value in PAYOUT.items()
    if name not in ("turnover", "isEndRound", "featureBuy")
}


@pytest.fixture
def wallet() -> Wallet:
    return Wallet(SECRET, agent="agentId")


@pytest.fixture
def partner(wallet) -> Iterator[SimulatedPartner]:
    with SimulatedPartner(wallet=wallet) as partner:
        yield partner


@pytest.fixture
def line(partner) -> Iterator[http.client.HTTPConnection]:
    with line_to(partner) as connection:
        yield connection


def post(
    line: http.client.HTTPConnection, path: str, document: object, **headers: str
) -> tuple[int, dict[str, Any]]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    line.request("POST", path, body, headers)
    response = line.getresponse()
    payload: dict[str, Any] = json.loads(response.read(), parse_float=Decimal)
    return response.status, payload


def code(line: http.client.HTTPConnection, path: str, document: object) -> int:
    status, response = post(line, path, document)
    assert status == 200
    status_code: int = response["status"]["code"]
    return status_code


def test_a_payout_credits_once_and_says_so_as_the_contract_does(line, wallet, partner):
    """Contracts 2.3 and 5.4: a duplicate gets code 0 with the present balance."""
    first, again = (post(line, "/payout", PAYOUT)[1] for _ in range(2))

    assert first["status"] == {"code": 0, "message": "Success"}
    assert first["data"]["username"] == "member001"
    assert first["data"]["refId"] == PAYOUT["transactionId"]
    assert first["data"]["balance"] == {"before": 10_000, "after": Decimal("10012.34")}
    assert first["data"]["wallet"]["balance"] == Decimal("10012.34")
    assert first["data"]["wallet"]["lastUpdate"].endswith("Z")
    assert again["data"]["balance"] == {
        "before": Decimal("10012.34"),
        "after": Decimal("10012.34"),
    }
    assert wallet.balances == {"member001": Decimal("10012.34")}
    entries = partner.ledger.entries()
    assert [(entry.taken, entry.repeats) for entry in entries] == [(True, False), (False, True)]
    assert (entries[0].operator, entries[0].ticket_id) == ("agentId", "round-1")


def test_a_cancel_credits_too(line, wallet):
    assert code(line, "/cancel", CANCEL) == 0
    assert wallet.balances == {"member001": Decimal("10012.34")}


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/payout", {"amount": "12.34"}),
        ("/payout", {"amount": True}),
        ("/payout", {"amount": -1}),
        ("/payout", {"amount": 12.345}),  # THB has two decimals
        ("/payout", {"currency": "EURO"}),
        ("/payout", {"transactionId": "1"}),
        ("/payout", {"timestamp": "2019-12-11T19:57:28Z"}),
        ("/payout", {"isEndRound": 1}),
        ("/payout", {"username": None}),
        ("/payout", {"shop": "12"}),
        ("/cancel", {"turnover": 250}),
    ],
)
def test_what_is_not_exactly_the_contract_s_is_refused_with_997(line, wallet, path, change):
    base = PAYOUT if path == "/payout" else CANCEL

    status, response = post(line, path, base | change)

    assert (status, response["status"]["code"]) == (200, 997)
    assert next(iter(change)) in response["status"]["message"] or "currency" in change
    for missing in base:
        rest = {name: value for name, value in base.items() if name != missing}
        assert code(line, path, rest) == 997
    assert code(line, path, b"[" * 50_000) == 997
    assert wallet.balances == {}


def test_another_agent_is_refused_with_998(line, wallet):
    assert code(line, "/payout", PAYOUT | {"agent": "another"}) == 998
    assert wallet.balances == {}


def test_a_balance_is_told_to_those_who_have_an_account(line):
    question = {"username": "member001", "agentId": "agentId"}
    assert code(line, "/balance", question) == 908
    assert code(line, "/balance", question | {"agentId": "another"}) == 998

    post(line, "/payout", PAYOUT)
    _, response = post(line, "/balance", question)

    assert response["data"] == {"username": "member001", "balance": Decimal("10012.34")}


def test_there_is_nothing_else(line):
    for method, path, status in (("POST", "/bet", 404), ("GET", "/payout", 405)):
        line.request(method, path)
        response = line.getresponse()
        response.read()
        assert response.status == status


@pytest.mark.parametrize(
    ("demands", "headers", "status"),
    [
        (False, {}, 200),
        (True, {}, 403),
        (False, {"x-amb-signature": "wrong"}, 403),
        (True, {"x-amb-signature": sign_seamless(json.dumps(PAYOUT).encode(), secret=SECRET)}, 200),
    ],
)
def test_a_signature_is_verified_when_there_is_one_and_may_be_demanded(
    line, wallet, demands, headers, status
):
    """Contracts 2.1."""
    wallet.demands_signature = demands

    assert post(line, "/payout", PAYOUT, **headers)[0] == status
    assert bool(wallet.balances) is (status == 200)


@pytest.mark.parametrize(
    ("order", "response", "credited"),
    [
        ({"behaviour": "wallet_code", "code": 999}, {"code": 999}, False),
        ({"behaviour": "wallet_code", "code": 999, "taken": True}, {"code": 999}, True),
        ({"behaviour": "wallet_code", "taken": False}, {"code": 0}, False),
        ({"behaviour": "wrong_ref_id"}, {"code": 0, "refId": "another-transaction"}, True),
        ({"behaviour": "wrong_balance"}, {"code": 0, "after": Decimal("10012.35")}, True),
    ],
)
def test_a_wallet_s_misbehaviour_can_be_ordered_over_http(line, wallet, order, response, credited):
    ask(line, "POST", "/_behave", order | {"action": "payout"})

    _, document = post(line, "/payout", PAYOUT)

    data = document.get("data", {"balance": {}})
    assert document["status"]["code"] == response["code"]
    assert data.get("refId") == response.get("refId", data.get("refId"))
    assert data["balance"].get("after") == response.get("after", data["balance"].get("after"))
    records = json.loads(ask(line, "GET", "/_wallet"))
    assert records == {
        "accounts": {"member001": "10012.34"} if credited else {},
        "transactions": int(credited),
    }


def test_what_is_lost_on_the_way_back_was_credited(partner, wallet, line):
    partner.behave(Rule(CloseWithoutAnswer(taken=True), first=1))
    with pytest.raises(http.client.RemoteDisconnected):
        post(line, "/payout", PAYOUT)
    assert wallet.transactions == 1

    line.close()

    assert code(line, "/payout", PAYOUT) == 0
    assert wallet.balances == {"member001": Decimal("10012.34")}


def test_a_platform_has_no_codes_and_a_wallet_no_verdict():
    with SimulatedPartner(secret=SECRET) as platform, line_to(platform) as line:
        with pytest.raises(ValueError, match="a PAM partner"):
            platform.behave(Rule(RespondAsWallet(999)))
        line.request("GET", "/_wallet")
        assert line.getresponse().status == 404
    with SimulatedPartner(wallet=Wallet(SECRET)) as wallet, line_to(wallet) as line:
        line.request("GET", "/_verdict")
        assert line.getresponse().status == 404
    with pytest.raises(ValueError, match="needs a secret"):
        SimulatedPartner()
