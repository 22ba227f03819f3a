"""CloudEvents on `POST /events`: three modes over real sockets, and what becomes of them."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from tests.support.cloud_events import (
    BATCH,
    BINARY,
    FORMS,
    JSON,
    LINES,
    STRUCTURED,
    cloud_event,
    post,
    send,
)
from tests.support.gateway_app import GatewayApp, event
from tests.support.intake_at_work import LoopCalls, applying, running
from tests.support.records import Records
from tests.support.wait import eventually

EVENT_BYTES_MAX = 256 * 1024


@pytest.fixture(scope="module")
def acme(built: GatewayApp) -> str:
    return built.operator()


@pytest.fixture(scope="module")
def key(built: GatewayApp, acme: str) -> str:
    return built.key(acme)


# --- the three modes, and the other bodies ---


@pytest.mark.parametrize("form", FORMS)
def test_a_cloud_event_is_on_the_stream_with_all_its_attributes(gateway_app, key, acme, form):
    time = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - the gateway's clock is the real one
    given = cloud_event(
        acme, "T1", time=time.isoformat(), traceparent="00-1", datacontenttype=JSON, id="ü1"
    )

    answer = send(gateway_app, key, form, given)

    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    if form != LINES:
        moment = time.isoformat(timespec="microseconds").replace("+00:00", "Z")
        assert answer.json()["events"] == [
            {"event_id": "ü1", "occurred_at": moment, "trace_id": None}
        ]
    assert gateway_app.on_stream() == [given]


@pytest.mark.parametrize("form", FORMS)
def test_its_time_is_fixed_before_the_first_try_and_told(gateway_app, key, acme, form):
    answer = send(gateway_app, key, form, cloud_event(acme, "T1"))

    (published,) = gateway_app.on_stream()
    assert published["id"] == "e-1"
    assert "occurred_at" not in published
    assert datetime.fromisoformat(published["time"]).tzinfo is not None
    if form != LINES:
        assert answer.json()["events"] == [
            {"event_id": "e-1", "occurred_at": published["time"], "trace_id": None}
        ]


@pytest.mark.parametrize("form", FORMS)
def test_a_dry_run_publishes_none(gateway_app, key, acme, form):
    answer = send(gateway_app, key, form, cloud_event(acme, "T1"), dry_run="true")

    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    assert gateway_app.on_stream() == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"specversion": "0.3"}, "specversion: must be the text 1.0"),
        ({"id": "a b"}, "id: must be 1 to 64 printable characters"),
        ({"source": ...}, "source: is missing"),
        ({"type": "com.acme.ticket_lose"}, "did you mean ticket_lost?"),
        ({"subject": "T2"}, "subject: is another ticket's id than data.ticket_id"),
        ({"time": "2015-03-02T08:27:58Z"}, "time 2015-03-02T08:27:58Z is more than 30d, less a"),
        ({"time": "2026-11-20T10:00:00"}, "this one has no offset"),
        ({"netpayout": "5"}, "netpayout: is not known here; did you mean data.net_payout?"),
        ({"data": [1]}, "data: must be an object (was [1])"),
    ],
)
def test_what_the_intake_would_refuse_is_refused_in_every_form(
    gateway_app, key, acme, form, change, problem
):
    answer = send(gateway_app, key, form, cloud_event(acme, "T1", **change))

    (error,) = answer.json()["errors"]
    assert (answer.status_code, problem in error["message"]) == (422, True), error
    assert gateway_app.on_stream() == []


@pytest.mark.parametrize("form", FORMS)
def test_a_key_names_its_own_operators_only(gateway_app, key, form):
    other = gateway_app.operator()

    answer = send(gateway_app, key, form, cloud_event(other, "T1"))

    assert answer.status_code == (422 if form == LINES else 403)
    assert gateway_app.on_stream() == []


@pytest.mark.parametrize("form", FORMS)
def test_without_a_key_none_is_taken(gateway_app, acme, form):
    answer = send(gateway_app, "slipway_nobody-s", form, cloud_event(acme, "T1"))

    assert answer.status_code == 401
    assert gateway_app.on_stream() == []


# --- batches ---


def test_a_batch_is_published_in_its_order(gateway_app, key, acme):
    events = [cloud_event(acme, f"T{number}", id=f"b{number}") for number in range(700)]

    answer = send(gateway_app, key, BATCH, *events)

    assert (answer.status_code, answer.json()["accepted"]) == (202, 700)
    assert [sent["id"] for sent in gateway_app.on_stream()] == [f"b{n}" for n in range(700)]


def test_a_batch_with_one_bad_item_is_refused_as_an_array_is(gateway_app, key, acme):
    fine, bad = cloud_event(acme, "T1"), cloud_event(acme, "T1", id=...)
    twice = json.dumps(fine).replace('"source"', '"id": "x", "source"')

    answer = send(gateway_app, key, BATCH, fine, bad, fine, event(acme, "T1"))
    doubled = post(gateway_app, key, f"[{json.dumps(fine)},{twice}]", {"Content-Type": BATCH})

    assert (answer.status_code, answer.json()["message"]) == (
        422,
        "2 of 4 events are invalid; nothing was published",
    )
    assert answer.json()["errors"] == [
        {"at": ["body", 1], "message": "id: is missing"},
        {
            "at": ["body", 3],
            "message": "specversion: is missing; send an event in Slipway's own format as"
            " application/json",
        },
    ]
    assert doubled.json()["errors"] == [
        {"at": ["body", 1], "message": "id: appears twice in one object; send it once"}
    ]
    assert gateway_app.on_stream() == []


def test_an_array_may_hold_both_kinds(gateway_app, key, acme):
    both = [cloud_event(acme, "T1"), event(acme, "T2", event_id="plain")]

    answer = gateway_app.publish(key, both)

    assert [sent["event_id"] for sent in answer.json()["events"]] == ["e-1", "plain"]


@pytest.mark.parametrize(
    ("kind", "body", "status", "problem"),
    [
        (BATCH, "[]", 422, "the array is empty"),
        (BATCH, "{}", 422, "must be a JSON array of events"),
        (BATCH, "", 422, "EOF while parsing"),
        (BATCH, "[" + "{}," * 10_000 + "{}]", 413, "at most 10,000 events"),
        (STRUCTURED, "[]", 422, f"is an array; send a batch as {BATCH}"),
        (STRUCTURED, "{", 422, "not JSON: EOF while parsing an object"),
        (STRUCTURED, "", 422, "not JSON: EOF while parsing a value"),
        (STRUCTURED, '"text"', 422, "the event is not a JSON object"),
        (STRUCTURED, '{"action":"ticket_win"}', 422, "specversion: is missing; send an event in"),
        (STRUCTURED, '["' + "x" * EVENT_BYTES_MAX + '"]', 413, "the maximum is 262,144 bytes"),
    ],
    ids=[
        *("empty batch", "no batch", "no body of a batch", "too many"),
        *("array", "half", "nothing", "text", "own format", "too large"),
    ],
)
def test_a_body_that_is_no_cloud_event_says_why(gateway_app, key, kind, body, status, problem):
    answer = post(gateway_app, key, body, {"Content-Type": kind})

    assert answer.status_code == status
    assert problem in answer.text
    assert gateway_app.on_stream() == []


# --- the official SDK ---


def made_by_the_sdk(operator: str, ticket: str, **attributes: str) -> CloudEvent:
    given = {"id": "é-1%", "source": "/a%20b", **attributes}  # which headers must encode
    facts = {"operator": operator, "net_payout": 500}
    return CloudEvent({"type": "example.ticket_win", "subject": ticket, **given}, facts)


@pytest.mark.parametrize("kind", [{}, {"datacontenttype": JSON}], ids=["no type", "with its type"])
def test_what_the_official_sdk_makes_is_taken_in_all_three_modes(gateway_app, key, acme, kind):
    made = made_by_the_sdk(acme, "T1", traceparent="00-1", **kind)
    binary, structured = to_binary_event(made), to_structured_event(made)
    batch = b"[" + structured.body + b"," + structured.body + b"]"

    answers = [
        post(gateway_app, key, binary.body, binary.headers),
        post(gateway_app, key, structured.body, structured.headers),
        post(gateway_app, key, batch, {"Content-Type": BATCH}),
    ]

    assert [(answer.status_code, answer.text[:14]) for answer in answers] == [
        (202, '{"accepted":1,'),
        (202, '{"accepted":1,'),
        (202, '{"accepted":2,'),
    ]
    first, *others = gateway_app.on_stream()
    assert others == [first] * 3
    assert (first["id"], first["source"], first["traceparent"]) == ("é-1%", "/a%20b", "00-1")


# --- through the intake, counted on both sides ---


def taken_in(gateway_app: GatewayApp, calls: LoopCalls, entries: int) -> None:
    """Wait until the intake is done with as many entries as were published."""
    eventually(lambda: sum(batch.entries for batch in calls.batches) == entries)
    eventually(lambda: gateway_app.redis.xlen("ticket-events") == 0)


def ends(records: Records, ticket: str, operator: str) -> list[tuple[str, str, str, int]]:
    rows = records.events(ticket, operator=operator)
    return [(row.event_id, row.action, row.outcome, row.repeats) for row in rows]


def test_an_event_counts_once_in_whichever_form_and_wherever_it_comes_in(
    gateway_app, servers, key, acme
):
    """First in our own format, then as a CloudEvent in each form: one event, and its repeats."""
    ticket, records = gateway_app.name("ticket"), Records(gateway_app.engine)
    ours = event(acme, ticket, event_id="same")
    theirs = cloud_event(acme, ticket, id="same", subject=ticket)
    by_subject = theirs | {"data": {"operator": acme}, "source": "/elsewhere"}

    with running(servers.redis_url, applying(gateway_app.engine)) as calls:
        answers = [gateway_app.publish(key, ours)]
        taken_in(gateway_app, calls, 1)
        answers += [send(gateway_app, key, form, theirs) for form in FORMS]
        answers += [send(gateway_app, key, form, by_subject) for form in FORMS]
        gateway_app.redis.xadd("ticket-events", {"event": json.dumps(by_subject)})
        published = sum(answer.json()["accepted"] for answer in answers) + 1
        taken_in(gateway_app, calls, published)

    assert published == 2 * len(FORMS) + 2
    assert ends(records, ticket, acme) == [("same", "ticket_win", "applied", published - 1)]
    assert len(records.notices(ticket, operator=acme)) == 1


def test_its_id_used_again_for_something_else_is_rejected_and_shown(
    gateway_app, servers, key, acme
):
    ticket, records = gateway_app.name("ticket"), Records(gateway_app.engine)
    other = cloud_event(acme, ticket, "ticket_lost", source="/another/source")

    with running(servers.redis_url, applying(gateway_app.engine)) as calls:
        first = send(gateway_app, key, BINARY, cloud_event(acme, ticket))
        taken_in(gateway_app, calls, 1)
        second = send(gateway_app, key, STRUCTURED, other)
        taken_in(gateway_app, calls, 2)

    assert [first.status_code, second.status_code] == [202, 202]
    assert ends(records, ticket, acme) == [("e-1", "ticket_win", "applied", 0)]
    (rejected,) = [row for row in records.rejected() if row.ticket_id == ticket]
    assert (rejected.reason, rejected.event_id) == ("event_id_reused", "e-1")
    assert json.loads(rejected.raw)["source"] == "/another/source"


def test_events_of_a_batch_are_applied_in_the_order_of_their_times(gateway_app, servers, key, acme):
    ticket, records = gateway_app.name("ticket"), Records(gateway_app.engine)
    now = datetime.now(UTC)  # noqa: TID251 - the gateway's clock is the real one
    actions = ["ticket_open", "ticket_win", "ticket_rollback", "ticket_lost"]
    batch = [
        cloud_event(
            *(acme, ticket, action),
            id=f"{number}",
            time=(now - timedelta(minutes=9 - number)).isoformat(),
        )
        for number, action in enumerate(actions)
    ]

    with running(servers.redis_url, applying(gateway_app.engine)) as calls:
        answer = send(gateway_app, key, BATCH, *batch)
        taken_in(gateway_app, calls, len(batch))

    assert answer.json()["accepted"] == len(batch)
    assert ends(records, ticket, acme) == [
        (f"{number}", action, "applied", 0) for number, action in enumerate(actions)
    ]
    assert records.ticket(ticket, operator=acme).result == "lost"
