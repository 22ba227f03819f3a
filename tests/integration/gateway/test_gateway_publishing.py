"""`POST /events`: 2xx means it is on the stream, ids and times are fixed, errors name the place."""

import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tests.support.gateway_app import SECRET, GatewayApp, event

EVENT_BYTES_MAX = 256 * 1024
YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)  # noqa: TID251 - the gateway's clock is the real one


@pytest.fixture(scope="module")
def acme(built: GatewayApp) -> str:
    return built.operator()


@pytest.fixture(scope="module")
def key(built: GatewayApp, acme: str) -> str:
    return built.key(acme)


# --- one event, or an array ---


def test_an_accepted_event_is_on_the_stream_as_it_came(gateway_app, key, acme):
    given = event(acme, "T1", event_id="e1", occurred_at=f"{YESTERDAY}T10:00:00Z", sequence=1)

    answer = gateway_app.publish(key, given)

    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    assert answer.json()["events"] == [
        {"event_id": "e1", "occurred_at": f"{YESTERDAY}T10:00:00.000000Z", "trace_id": None}
    ]
    assert gateway_app.on_stream() == [given]


def test_what_it_leaves_out_is_fixed_before_the_first_try_and_told(gateway_app, key, acme):
    answer = gateway_app.publish(key, event(acme, "T1", event_id=None))

    (fixed,) = answer.json()["events"]
    (published,) = gateway_app.on_stream()
    assert published["event_id"] == fixed["event_id"] != ""
    assert published["occurred_at"] == fixed["occurred_at"]
    assert datetime.fromisoformat(fixed["occurred_at"]).tzinfo is not None


def test_numbers_arrive_as_they_were_written(gateway_app, key, acme):
    data = f'{{"operator": "{acme}", "ticket_id": "T", "wht": 10.0, "far": 12345678901234567890.5}}'
    body = f'{{"event_id": "n", "occurred_at": "{YESTERDAY}T10:00:00Z", "action": "ticket_win", "data": {data}}}'  # noqa: E501 - one line of JSON

    gateway_app.client.post(
        "/events", content=body, headers={"X-Api-Key": key, "Content-Type": "application/json"}
    )

    ((_, fields),) = gateway_app.redis.xrange("ticket-events")
    assert fields[b"event"] == body.encode()


def test_an_array_is_published_in_its_order(gateway_app, key, acme):
    events = [event(acme, f"T{number}", event_id=f"a{number}") for number in range(700)]

    answer = gateway_app.publish(key, events)

    assert (answer.status_code, answer.json()["accepted"]) == (202, 700)
    assert [entry["event_id"] for entry in gateway_app.on_stream()] == [f"a{n}" for n in range(700)]


@pytest.mark.parametrize("count", [1, 3_000])
def test_a_byte_order_mark_before_json_is_dropped(gateway_app, key, acme, count):
    events = [event(acme, f"T{number}", event_id=f"a{number}") for number in range(count)]
    body = json.dumps(events if count > 1 else events[0]).encode()

    answer = gateway_app.client.post(
        "/events",
        content=BOM_UTF8 + body,
        headers={"X-Api-Key": key, "Content-Type": "application/json"},
    )

    assert (answer.status_code, answer.json()["accepted"]) == (202, count)
    assert [entry["event_id"] for entry in gateway_app.on_stream()] == [
        sent["event_id"] for sent in events
    ]


def test_an_array_with_one_wrong_event_is_refused_as_a_whole(gateway_app, key, acme):
    wrong = [event(acme, "T"), event(acme, "T", "ticket_lose"), event(acme, "a b")]

    answer = gateway_app.publish(key, wrong)

    assert answer.status_code == 422
    assert answer.json()["message"] == "2 of 3 events are invalid; nothing was published"
    first, second = answer.json()["errors"]
    assert (first["at"], "did you mean ticket_lost?" in first["message"]) == (["body", 1], True)
    assert second["at"] == ["body", 2]
    assert gateway_app.on_stream() == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"eventId": "1"}, "eventId: is not known here; did you mean event_id?"),
        ({"occurredAt": "now"}, "occurredAt: is not known here; did you mean occurred_at?"),
        ({"net_payout": 5}, "net_payout: is not known here; did you mean data.net_payout?"),
        ({"occurred_at": "2015-03-02T08:27:58Z"}, "occurred_at 2015-03-02T08:27:58Z is more"),
    ],
)
def test_what_the_intake_would_refuse_is_refused_on_every_channel(
    gateway_app, key, acme, change, problem
):
    given = event(acme, "T", event_id="e") | change

    single, array = (
        gateway_app.publish(key, given),
        gateway_app.publish(key, [event(acme, "T"), given]),
    )
    lines = gateway_app.publish_lines(key, f"{json.dumps(given)}\n")

    assert [single.status_code, array.status_code, lines.status_code] == [422, 422, 422]
    for answer in (single, array, lines):
        assert answer.json()["errors"][0]["message"].startswith(problem)
    assert array.json()["errors"][0]["at"] == ["body", 1]
    assert gateway_app.on_stream() == []


@pytest.mark.parametrize(
    ("query", "name", "problem"),
    [
        ("dryRun=true", "dryRun", "unknown parameter; did you mean dry_run?"),
        ("dry-run=true", "dry-run", "unknown parameter; did you mean dry_run?"),
        ("dry_run=true&dry_run=false", "dry_run", "appears twice; send it once"),
    ],
)
def test_what_was_only_to_be_checked_is_not_published(gateway_app, key, acme, query, name, problem):
    headers = {"X-Api-Key": key, "Content-Type": "application/json"}
    body = json.dumps(event(acme, "T"))

    answer = gateway_app.client.post(f"/events?{query}", content=body, headers=headers)

    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"at": ["query", name], "message": problem}]
    assert gateway_app.on_stream() == []


def test_a_list_asks_for_what_it_was_meant_to(gateway_app, key, acme):
    outcomes = gateway_app.ask(key, "/events", Outcome="parked")
    tickets = gateway_app.signed("GET", "/be/tickets?userId=7", operator=acme)
    several = gateway_app.signed("GET", "/be/tickets?skip_types=a&skip_types=b&x=1", operator=acme)

    assert [outcomes.status_code, tickets.status_code, several.status_code] == [422, 422, 200]


def test_a_key_that_appears_twice_is_refused_on_every_channel(gateway_app, key, acme):
    twice = json.dumps(event(acme, "T", event_id="e", x={"y": 1})).replace('"y": 1', '"y":1,"y":2')
    fine = json.dumps(event(acme, "T", event_id="a:b"))
    headers = {"X-Api-Key": key, "Content-Type": "application/json"}

    single = gateway_app.client.post("/events", content=twice, headers=headers)
    array = gateway_app.client.post("/events", content=f"[{fine},{twice},{fine}]", headers=headers)
    lines = gateway_app.publish_lines(key, f"{fine}\n{twice}\n")

    problem = "x.y: appears twice in one object; send it once"
    assert (single.status_code, single.json()["errors"]) == (
        422,
        [{"at": ["body"], "message": problem}],
    )
    assert array.json()["errors"] == [{"at": ["body", 1], "message": problem}]
    assert lines.json()["rejected"] == [{"line": 2, "error": problem}]
    assert [sent["event_id"] for sent in gateway_app.on_stream()] == ["a:b"]


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        (b"", 422, "the event is invalid"),
        (b"{", 422, "the event is invalid"),
        (b"[]", 422, "the body holds no event"),
        (b"[" * 100_000, 422, "not JSON"),
        (b"[1, NaN, 1e999]", 422, "3 of 3 events"),
        (b'"text"', 422, "the event is invalid"),
        (b"[" + b"{}," * 10_000 + b"{}]", 413, "at most 10,000 events"),
        (b'{"x": "' + b"x" * EVENT_BYTES_MAX + b'"}', 413, "the maximum is 262,144 bytes"),
        (b'["' + b"x" * (8 * 1024 * 1024) + b'"]', 413, "the maximum is 8,388,608 bytes"),
        (b'[{"x": "' + b"x" * EVENT_BYTES_MAX + b'"}]', 413, "at most 262144 are taken"),
        (b"\xff\xfe", 422, "the event is invalid"),
    ],
    ids=[
        *("nothing", "half", "empty array", "deep", "no numbers", "text", "too many"),
        *("large event", "large array", "large event in an array", "not UTF-8"),
    ],
)
def test_a_body_that_is_no_event_is_refused_and_says_why(gateway_app, key, body, status, problem):
    answer = gateway_app.client.post(
        "/events", content=body, headers={"X-Api-Key": key, "Content-Type": "application/json"}
    )

    assert (answer.status_code, answer.json()["code"]) == (status, status)
    assert problem in answer.json()["message"]
    assert ("errors" in answer.json()) == (status == 422)
    assert gateway_app.on_stream() == []


def test_a_size_that_is_not_announced_is_counted_while_it_arrives(gateway_app, key):
    def endless() -> Iterator[bytes]:
        for _ in range(300):
            yield b"x" * 1024

    answer = gateway_app.client.post(
        "/events", content=endless(), headers={"X-Api-Key": key, "Content-Type": "application/json"}
    )

    assert answer.status_code == 413


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": ""},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_another_kind_of_body_is_415(gateway_app, key, headers):
    answer = gateway_app.client.post(
        "/events", content=b"{}", headers={"X-Api-Key": key, **headers}
    )

    assert (answer.status_code, answer.json()["code"]) == (415, 415)


def test_a_dry_run_checks_and_publishes_nothing(gateway_app, key, acme):
    fine = gateway_app.publish(key, [event(acme, "T")], dry_run="true")
    lines = gateway_app.publish_lines(key, b"{}\n", dry_run="true")

    assert (fine.status_code, fine.json()["accepted"]) == (200, 1)
    assert lines.status_code == 422
    assert gateway_app.on_stream() == []


# --- keys ---


def test_a_key_may_name_its_own_operators_only(gateway_app, key, acme):
    other = gateway_app.operator()

    answer = gateway_app.publish(key, [event(acme, "T"), event(other, "T")])
    line = gateway_app.publish_lines(key, f'{{"action":"ticket_win","data":{{"operator":"{other}",'
                                    '"ticket_id":"T"}}\n')  # fmt: skip

    assert (answer.status_code, answer.json()["code"]) == (403, 403)
    assert other in answer.json()["message"]
    assert line.status_code == 422
    assert gateway_app.on_stream() == []


def test_a_key_for_all_operators_is_told_of_one_that_is_not_there(gateway_app, acme):
    key = gateway_app.key()

    answer = gateway_app.publish(key, event("nobody", "T"))

    assert answer.status_code == 422
    assert "operator 'nobody' does not exist" in answer.json()["errors"][0]["message"]
    assert gateway_app.publish(key, event(acme, "T")).status_code == 202


def test_a_read_only_key_may_not_publish(gateway_app, acme):
    answer = gateway_app.publish(gateway_app.key(acme, read_only=True), event(acme, "T"))

    assert (answer.status_code, "read-only" in answer.json()["message"]) == (403, True)


@pytest.mark.parametrize("given", ["", "slipway_nobody-s", SECRET, "x" * 5000])
def test_without_a_key_that_is_known_nothing_opens(gateway_app, given):
    """An operator's own secret, which the partner knows, opens none of these."""
    for answer in (
        gateway_app.publish(given, event("acme", "T")),
        gateway_app.publish_lines(given, b"{}"),
        gateway_app.ask(given, "/events"),
        gateway_app.ask(given, "/events/e1"),
        gateway_app.ask(given, "/tickets/T"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (401, 401)
        assert "WWW-Authenticate" in answer.headers


def test_a_revoked_key_opens_nothing_at_once(gateway_app, acme):
    key = gateway_app.key(acme)
    assert gateway_app.publish(key, event(acme, "T")).status_code == 202

    with gateway_app.engine.begin() as connection:
        connection.execute(text("UPDATE publisher SET revoked_at = now()"))
    try:
        answer = gateway_app.publish(key, event(acme, "T"))
    finally:
        with gateway_app.engine.begin() as connection:
            connection.execute(text("UPDATE publisher SET revoked_at = NULL"))

    assert answer.status_code == 401
