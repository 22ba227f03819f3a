"""CloudEvents on `POST /events`: media types, and what the headers of binary mode may hold."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.cloud_events import (
    BATCH,
    JSON,
    LINES,
    STRUCTURED,
    cloud_event,
    in_headers,
    post,
)
from tests.support.gateway_app import GatewayApp


@pytest.fixture(scope="module")
def acme(built: GatewayApp) -> str:
    return built.operator()


@pytest.fixture(scope="module")
def key(built: GatewayApp, acme: str) -> str:
    return built.key(acme)


# --- content types ---


@pytest.mark.parametrize("kind", [STRUCTURED, BATCH, JSON])
@pytest.mark.parametrize(
    ("charset", "status"),
    [("; charset=UTF-8", 202), (';charset="utf-8"', 202), ("; charset=iso-8859-1", 415)],
)
def test_another_charset_than_utf_8_is_refused(gateway_app, key, acme, kind, charset, status):
    given = cloud_event(acme, "T1")
    body: Any = {STRUCTURED: given, BATCH: [given], JSON: given["data"]}[kind]
    headers = in_headers(given) if kind == JSON else {}

    answer = post(
        gateway_app, key, json.dumps(body), {**headers, "Content-Type": f"{kind}{charset}"}
    )

    assert answer.status_code == status
    assert ("the charset of the Content-Type is 'iso-8859-1'" in answer.text) == (status == 415)


@pytest.mark.parametrize(
    "kind", ["application/cloudevents+xml", "application/cloudevents", "text/plain", LINES]
)
def test_another_format_is_415(gateway_app, key, acme, kind):
    given = cloud_event(acme, "T1")

    in_body = post(gateway_app, key, json.dumps(given), {"Content-Type": kind})
    binary = post(
        gateway_app, key, json.dumps(given["data"]), in_headers(given) | {"Content-Type": kind}
    )

    assert in_body.status_code == (202 if kind == LINES else 415)
    assert binary.status_code == 415
    assert "the body is the data of one CloudEvent: Content-Type must be" in binary.text


# --- binary mode ---


def test_headers_beside_a_batch_are_refused(gateway_app, key, acme):
    body = json.dumps([cloud_event(acme, "T1")])

    answer = post(gateway_app, key, body, {"Content-Type": BATCH, "ce-id": "e-1"})

    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["at"]) == (422, ["header", "ce-id"])
    assert "each event of a batch has its own attributes" in error["message"]
    assert gateway_app.on_stream() == []


def test_headers_may_repeat_the_attributes_of_a_structured_body(gateway_app, key, acme):
    """Senders do, so that what is in between can route without reading the body."""
    given = cloud_event(acme, "T1", source="https://backend.example/ü", sequence=1)
    repeated = in_headers(given) | {"Content-Type": STRUCTURED}

    answer = post(gateway_app, key, json.dumps(given), repeated)

    assert answer.status_code == 202, answer.text
    assert len(gateway_app.on_stream()) == 1


@pytest.mark.parametrize(
    ("header", "value", "stated"),
    [
        ("ce-id", "other", "id: is 'e-1' there; the header ce-id says 'other'"),
        ("ce-sequence", "2", "sequence: is '1' there; the header ce-sequence says '2'"),
        ("ce-subject", "T1", "subject: is missing in the body; the header ce-subject says 'T1'"),
    ],
)
def test_a_header_that_contradicts_a_structured_body_is_refused(
    gateway_app, key, acme, header, value, stated
):
    body = json.dumps(cloud_event(acme, "T1", sequence=1))

    answer = post(gateway_app, key, body, {"Content-Type": STRUCTURED, header: value})

    assert answer.status_code == 422
    assert stated in answer.text
    assert gateway_app.on_stream() == []


@pytest.mark.parametrize("body", ["5", '"text"', "null", "true"])
def test_headers_beside_a_structured_body_that_is_no_object_change_nothing(gateway_app, key, body):
    answer = post(gateway_app, key, body, {"Content-Type": STRUCTURED, "ce-id": "e-1"})

    assert answer.status_code == 422
    assert "the event is not a JSON object" in answer.text


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("e%2d1%2D", "e-1-"),
        ('"e\\"1"', 'e"1'),
        ('"a%20b"', "a b"),
        ("100%25", "100%"),
        ("100%2525", "100%25"),
    ],
)
def test_a_header_is_decoded_as_the_binding_says(gateway_app, key, acme, written, means):
    given = cloud_event(acme, "T1")

    answer = post(
        gateway_app, key, json.dumps(given["data"]), in_headers(given) | {"ce-note": written}
    )

    assert answer.status_code == 202
    assert gateway_app.on_stream()[0]["note"] == means


@pytest.mark.parametrize(
    ("header", "value", "problem"),
    [
        ("ce-id", b"%C0%A0", "must be printable ASCII with all else percent-encoded as UTF-8"),
        ("ce-id", b"100%", "a percent sign %25 (was '100%')"),
        ("ce-id", b"%zz", "a percent sign %25 (was '%zz')"),
        ("ce-id", "ü".encode(), "must be printable ASCII"),
        ("ce-id", b'"open', "must be printable ASCII"),
        ("ce-datacontenttype", b"application/json", "is no header of binary mode; Content-Type"),
        ("ce-data", b"{}", "is no attribute; the data are the body"),
    ],
)
def test_a_header_that_cannot_be_read_is_named(gateway_app, key, acme, header, value, problem):
    given = cloud_event(acme, "T1")
    headers: Any = [(name, text.encode()) for name, text in in_headers(given).items()]
    headers = [pair for pair in headers if pair[0] != header]

    answer = gateway_app.client.post(
        "/events",
        content=json.dumps(given["data"]),
        headers=[("X-Api-Key", key.encode()), *headers, (header, value)],
    )

    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["at"]) == (422, ["header", header])
    assert problem in error["message"]
    assert gateway_app.on_stream() == []


def test_an_attribute_in_two_headers_is_refused(gateway_app, key, acme):
    given = cloud_event(acme, "T1")
    headers = [*in_headers(given).items(), ("ce-id", "e-1"), ("X-Api-Key", key)]

    answer = gateway_app.client.post("/events", content=json.dumps(given["data"]), headers=headers)

    assert answer.json()["errors"] == [
        {"at": ["header", "ce-id"], "message": "appears twice; send it once"}
    ]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("", "data: is missing"),
        ("{", "not JSON: EOF while parsing an object"),
        ('{},"id":"other"', "not JSON: trailing characters"),
        ('{"operator":"a","x":1,"x":2}', "data.x: appears twice in one object"),
        ("[]", "data: must be an object (was [])"),
    ],
)
def test_the_body_of_binary_mode_is_the_data_and_nothing_else(
    gateway_app, key, acme, body, problem
):
    answer = post(gateway_app, key, body, in_headers(cloud_event(acme, "T1")))

    (error,) = answer.json()["errors"]
    assert (answer.status_code, problem in error["message"]) == (422, True), error
    assert gateway_app.on_stream() == []


def test_without_a_content_type_the_data_are_json(gateway_app, key, acme):
    given = cloud_event(acme, "T1")
    headers = in_headers(given)
    del headers["Content-Type"]

    answer = post(gateway_app, key, json.dumps(given["data"]), headers)

    assert answer.status_code == 202
    assert gateway_app.on_stream()[0]["data"] == given["data"]


def test_numbers_in_the_data_arrive_as_they_were_written(gateway_app, key, acme):
    data = f'{{"operator": "{acme}", "ticket_id": "T", "wht": 10.0, "far": 12345678901234567890.5}}'
    time = datetime.now(UTC).isoformat()  # noqa: TID251 - the gateway's clock is the real one

    post(gateway_app, key, data, in_headers(cloud_event(acme, "T", time=time)))

    ((_, fields),) = gateway_app.redis.xrange("ticket-events")
    assert f'"data":{data}}}'.encode() in fields[b"event"]
