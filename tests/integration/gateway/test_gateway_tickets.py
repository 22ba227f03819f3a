"""The ticket object and the list of the Bet Engine API, as contracts 1.7 and 1.8 define them."""

from datetime import timedelta
from unicodedata import normalize
from urllib.parse import quote

import pytest

from tests.support.gateway_app import GatewayApp
from tests.support.harness import AMOUNTS

FIELDS = [
    "id",
    "code",
    "psp",
    "price",
    "stake",
    "gross_payout",
    "net_payout",
    "wht_amount",
    "wht",
    "ext_amount",
    "ext",
    "ext_type",
    "currency",
    "status",
    "result",
    "approved",
    "source",
    "type",
    "atag",
    "rtag",
    "user_id",
    "created",
    "updated",
    "operator_time_created",
    "operator_time_updated",
    "events",
]


@pytest.fixture(scope="module")
def acme(built: GatewayApp) -> str:
    return built.operator()


def test_the_ticket_object_has_the_contract_s_fields_in_their_order(gateway_app):
    operator = gateway_app.operator(zone="Asia/Kolkata")
    ticket = gateway_app.reserved(operator, psp="mobile", atag="a", rtag="r", player_id="p")
    made = gateway_app.harness.now

    shown = gateway_app.signed("GET", f"/be/tickets/{ticket}", operator=operator)

    document = shown.json()
    assert list(document) == FIELDS
    assert {name: document[name] for name in AMOUNTS} == AMOUNTS
    assert b'"wht":10.0,' in shown.content
    assert (document["status"], document["result"], document["approved"]) == (
        "reserved",
        "pending",
        True,
    )
    assert (document["source"], document["user_id"], document["events"]) == (None, "p", [])
    assert document["created"] == f"{made:%Y-%m-%dT%H:%M:%S}.000000"
    in_india = made + timedelta(hours=5, minutes=30)
    assert document["operator_time_created"] == f"{in_india:%Y-%m-%dT%H:%M:%S}.000000"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_ticket_is_found_however_its_letters_and_accents_are_put_together(gateway_app, form):
    operator = gateway_app.operator()
    ticket = gateway_app.reserved(operator, ticket_id=f"José-{gateway_app.name('ticket')}")
    spelling = quote(normalize(form, ticket))

    assert (
        gateway_app.signed("GET", f"/be/tickets/{spelling}", operator=operator).json()["id"]
        == ticket
    )
    histories = gateway_app.ask(gateway_app.key(operator), f"/tickets/{spelling}").json()["tickets"]
    assert [history["ticket"]["ticket_id"] for history in histories] == [ticket]


@pytest.mark.parametrize(
    ("action", "facts", "result", "payouts"),
    [
        ("ticket_win", {}, "won", (1200, 1145)),
        ("ticket_win", {"net_payout": 700}, "won", (1200, 700)),
        ("ticket_lost", {}, "lost", (0, 0)),
        ("ticket_void", {**AMOUNTS, "gross_payout": 500, "net_payout": 500}, "void", (500, 500)),
        ("ticket_refund", {"reason": "declined"}, "void", (1200, 1145)),
    ],
)
def test_a_result_shows_in_the_contract_s_words(gateway_app, acme, action, facts, result, payouts):
    """Contracts 1.7: both payouts of a lost ticket are 0. `refunded` is ours: it shows as void."""
    ticket = gateway_app.reserved(acme)
    gateway_app.paid(acme, ticket)
    gateway_app.harness.say(action, ticket, operator=acme, **facts)

    document = gateway_app.signed("GET", f"/be/tickets/{ticket}", operator=acme).json()

    assert (document["status"], document["result"]) == ("resulted", result)
    assert (document["gross_payout"], document["net_payout"]) == payouts


def test_a_ticket_opened_by_its_result_has_null_for_what_nobody_told(gateway_app, acme):
    ticket = gateway_app.name("ticket")
    gateway_app.harness.say("ticket_win", ticket, operator=acme)

    document = gateway_app.signed("GET", f"/be/tickets/{ticket}", operator=acme).json()

    assert (document["id"], document["code"], document["price"], document["type"]) == (
        ticket,
        None,
        None,
        None,
    )


def test_the_list_is_newest_first_ten_at_a_time_and_can_be_narrowed(gateway_app):
    operator = gateway_app.operator()
    tickets = [
        gateway_app.reserved(
            operator,
            player_id="anna" if number % 2 else "ben",
            ticket_type="jackpot" if number < 3 else "quickbet",
        )
        for number in range(12)
    ][::-1]

    def listed(**query: str | int) -> list[str]:
        query_string = "&".join(f"{name}={value}" for name, value in query.items())
        answer = gateway_app.signed("GET", f"/be/tickets?{query_string}", operator=operator)
        assert answer.status_code == 200
        return [ticket["id"] for ticket in answer.json()]

    assert listed() == tickets[:10]
    assert listed(limit=100) == tickets
    assert listed(limit=3) == tickets[:3]
    assert listed(user_id="anna", limit=100) == tickets[::2]
    assert listed(skip_types="jackpot", limit=100) == tickets[:9]
    assert listed(skip_types="jackpot&skip_types=quickbet") == []
    assert listed(user_id="nobody") == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "user_id=%00", "skip_types=a%20b"]
)
def test_a_list_that_cannot_be_is_422_with_what_is_wrong(gateway_app, acme, query):
    answer = gateway_app.signed("GET", f"/be/tickets?{query}", operator=acme)

    assert (answer.status_code, answer.json()["code"]) == (422, 422)
    assert answer.json()["errors"][0]["at"][:2] == ["query", query.partition("=")[0]]
