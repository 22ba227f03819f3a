"""`POST /v2/integration/lottery`: takes the vendor's own sample; the key decides the operator."""

from codecs import BOM_UTF8
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from models.events.event import Entry
from tests.support.gateway_app import SECRET, GatewayApp
from tests.support.lottery import SAMPLE, TICKET, bet, sample, settlement

FEED = "/v2/integration/lottery"
YESTERDAY = datetime.now(UTC) - timedelta(days=1)  # noqa: TID251 - the gateway's clock is the real one


@pytest.fixture(scope="module")
def acme(built: GatewayApp) -> str:
    return built.operator()


@pytest.fixture(scope="module")
def key(built: GatewayApp, acme: str) -> str:
    return built.key(acme)


def deliver(gateway_app: GatewayApp, key: str, body: bytes, **headers: str) -> httpx.Response:
    """Send one message, as the vendor's client does."""
    given = {"Content-Type": "application/json"} | headers
    return gateway_app.client.post(FEED, content=body, headers={"X-Api-Key": key} | given)


def applied(gateway_app: GatewayApp) -> Any:  # noqa: ANN401 - a counter of outcomes
    """Have the intake apply what is on the stream."""
    entries: Any = gateway_app.redis.xrange("ticket-events")
    return gateway_app.harness.publish(
        *(Entry(id_.decode(), fields) for id_, fields in entries)
    ).outcomes


def test_the_vendor_s_sample_is_taken_byte_for_byte(gateway_app, key, acme):
    message = sample(YESTERDAY.date())

    answer = deliver(gateway_app, key, message)

    assert (answer.status_code, answer.json()) == (200, {"accepted": 1})
    ((_, fields),) = gateway_app.redis.xrange("ticket-events")
    assert fields == {b"type": b"LOTTERY_V2", b"operator": acme.encode(), b"event": message}


def test_a_byte_order_mark_before_a_message_is_dropped(gateway_app, key, acme):
    message = sample(YESTERDAY.date())

    assert deliver(gateway_app, key, BOM_UTF8 + message).status_code == 200
    ((_, fields),) = gateway_app.redis.xrange("ticket-events")
    assert fields[b"event"] == message


def test_a_bet_and_its_settlement_are_a_ticket_that_was_opened_and_won(gateway_app, key, acme):
    drawn = {"draw_date": YESTERDAY.isoformat(), "timestamp": YESTERDAY.isoformat()}
    won = settlement(won=True, **drawn)
    for message in (bet(**drawn), won, won):
        assert deliver(gateway_app, key, message).status_code == 200

    assert dict(applied(gateway_app)) == {
        ("ticket_open", "applied"): 1,
        ("ticket_win", "applied"): 1,
        ("ticket_win", "duplicate"): 1,
    }
    (history,) = gateway_app.ask(key, f"/tickets/{TICKET}").json()["tickets"]
    assert (history["ticket"]["operator"], history["ticket"]["result"]) == (acme, "won")


def test_a_message_that_the_intake_would_find_too_old_is_refused_at_once(gateway_app, key):
    """The vendor's sample is dated 2015."""
    answer = deliver(gateway_app, key, SAMPLE)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["message"].startswith(
        "timestamp 2015-03-02T02:27:58.721607Z is more than 30d, less a margin of 60 s, ago"
        " (SLIPWAY_EVENT_AGE_MAX): its ticket may have been removed"
    )
    assert gateway_app.on_stream() == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (settlement(type="Refund"), "type: must be Bet or Settlement"),
        (settlement(amount=1.001), "amount:"),
        (settlement(ticket_id="668ef666333180bba97f0c93"), "ticket_id:"),
        (settlement(skipPublishing=True), "did you mean skip_publishing?"),
        (settlement().replace(b'"amount"', b'"amount":9,"amount"'), "amount: appears twice"),
    ],
)
def test_a_message_of_another_form_is_422_and_says_what_is_wrong(gateway_app, key, body, problem):
    answer = deliver(gateway_app, key, body)

    assert (answer.status_code, answer.json()["code"]) == (422, 422)
    assert problem in answer.json()["errors"][0]["message"]
    assert gateway_app.on_stream() == []


def test_ids_that_are_too_long_together_are_refused_where_each_draw_is_a_ticket(
    gateway_app, key, acme
):
    """What the intake would refuse, after a 200."""
    long = bet(ticket_id="7" * 60, draw_id="1" * 4, timestamp=YESTERDAY.isoformat())
    assert deliver(gateway_app, key, long).status_code == 200
    with gateway_app.engine.begin() as connection:
        row = {"code": acme}
        connection.execute(
            text("UPDATE operator SET lottery_ticket = 'ticket+draw' WHERE code = :code"), row
        )

    answer = deliver(gateway_app, key, long)

    assert (answer.status_code, len(gateway_app.on_stream())) == (422, 1)
    assert answer.json()["errors"][0]["message"] == (
        "ticket_id and draw_id together have 65 characters; at most 64 are taken"
    )
    fitting = bet(ticket_id="7" * 59, draw_id="1" * 4, timestamp=YESTERDAY.isoformat())
    assert deliver(gateway_app, key, fitting).status_code == 200


@pytest.mark.parametrize("name", ["dry_run", "dryRun"])
def test_a_dry_run_is_refused_where_there_is_none(gateway_app, key, name):
    """Ignored, what was only to be checked would be published."""
    answer = gateway_app.client.post(
        f"/v2/integration/lottery?{name}=true", content=bet(), headers={"X-Api-Key": key}
    )

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {
            "at": ["query", name],
            "message": "unknown parameter; did you mean `POST /events`, which alone has it?",
        }
    ]
    assert gateway_app.on_stream() == []


def test_only_a_key_of_one_operator_that_may_publish_opens_the_feed(gateway_app, key, acme):
    both = gateway_app.key(acme, gateway_app.operator())

    assert deliver(gateway_app, SECRET, SAMPLE).status_code == 401
    assert deliver(gateway_app, gateway_app.key(acme, read_only=True), SAMPLE).status_code == 403
    assert "bound to one operator" in deliver(gateway_app, both, SAMPLE).json()["message"]
    assert deliver(gateway_app, gateway_app.key(), SAMPLE).status_code == 403
    assert gateway_app.on_stream() == []


def test_what_is_no_json_or_too_large_is_refused_in_the_one_shape(gateway_app, key):
    large = deliver(gateway_app, key, settlement(meta={"x": "x" * 300_000}))
    other = deliver(gateway_app, key, SAMPLE, **{"Content-Type": "text/plain"})

    assert (large.status_code, large.json()["code"]) == (413, 413)
    assert (other.status_code, other.json()["code"]) == (415, 415)
