"""CloudEvents: schema, gateway, `--check`, stream and queue take the same ones, as the same events.

What no schema can say of them, besides what `test_channels_agree.py` names: that `subject` and
`data.ticket_id` are the same.
"""

import json
from typing import Any
from urllib.parse import quote

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from models.events.event import Event
from models.vocabulary import INBOUND
from producers.gateway.cloud_events import body_form
from tests.support.near_events import (
    ANY,
    DEEP,
    FACTS,
    FINE,
    MOMENTS,
    NEAR,
    NUMBERS,
    STRINGS,
    UNKNOWN_NAMES,
    Text,
    an_object,
    near_events,
    texts,
)
from tests.support.schema_reader import takes
from tests.support.searches import examples
from tests.support.verdicts import as_read, check, gateway, intake, queue

ATTRIBUTES: dict[str, st.SearchStrategy[Text]] = {
    "specversion": texts("1.0", "0.3", "1.0.2", 1.0),
    "id": STRINGS,
    "source": STRINGS,
    "type": texts(*INBOUND, "com.acme.ticket_win", ".ticket_win", "a.ticket_closed", "ticket_lose"),
    "subject": texts("7", "8", "", "a b"),
    "time": MOMENTS,
    "datacontenttype": texts(
        *("application/json", "APPLICATION/Json;charset=utf-8", 'application/json; charset="UTF8"'),
        *("text/json", "application/json; charset=latin-1", "application/json;", "application/xml"),
    ),
    "dataschema": STRINGS,
    "sequence": NUMBERS | texts("1", "007", "0", "999999999", "1000000000", "-1", "1.0", "x"),
    "data_base64": texts("e30=", ""),
    "expirytime": MOMENTS,
}
NEAR_ATTRIBUTES = texts(
    *(
        "specVersion",
        "SOURCE",
        "dataContentType",
        "data-base64",
        "expiryTime",
        "event_id",
        "eventid",
    ),
    *("occurredat", "action", "netpayout", "operator", "ext", "traceparent", "sequencetype"),
)


@st.composite
def near_cloud_events(draw: st.DrawFn) -> bytes:
    """A CloudEvent that is fine but for one or two attributes or facts."""
    data = {json.dumps(name): value for name, value in FINE.items()}
    top: dict[Text, Text] = {
        json.dumps(name): json.dumps(value)
        for name, value in (("specversion", "1.0"), ("id", "e"), ("source", "s"))
    }
    top['"type"'] = draw(texts(*INBOUND))
    for _ in range(draw(st.integers(0, 3))):
        match draw(st.integers(0, 5)):
            case 0:
                name = draw(st.sampled_from(sorted(FACTS)))
                data[json.dumps(name)] = draw(FACTS[name] | ANY)
            case 1 | 2:
                name = draw(st.sampled_from(sorted(ATTRIBUTES)))
                top[json.dumps(name)] = draw(ATTRIBUTES[name] | ANY)
            case 3:
                there = draw(st.sampled_from([data, top]))
                there.pop(draw(st.sampled_from(sorted(there))))
            case 4:
                top[draw(UNKNOWN_NAMES | NEAR_ATTRIBUTES | NEAR)] = draw(DEEP)
            case _:
                data[draw(UNKNOWN_NAMES | NEAR_ATTRIBUTES | NEAR)] = draw(DEEP)
    if draw(st.integers(0, 9)):
        top['"data"'] = an_object(data)
    return an_object(top).encode()


def contradicts_itself(event: dict[str, Any]) -> bool:
    """Whether it names two tickets, which no schema can refuse."""
    subject, data = event.get("subject"), event.get("data")
    if subject is None or not isinstance(data, dict) or "ticket_id" not in data:
        return False
    return bool(data["ticket_id"] != subject)


@settings(max_examples=examples(300), deadline=None, database=None)
@given(near_cloud_events())
def test_schema_and_all_channels_take_the_same_cloud_events(raw):
    event = json.loads(raw)
    either = any(takes(f"{name}.schema.json", event) for name in ("event", "cloud-event"))
    by_schema = either and not contradicts_itself(event)
    by_all = (intake(raw), gateway(raw), check(raw), by_schema)
    by_queue = queue(raw) if age_is_fine(event) else by_schema

    assert len({*by_all, by_queue}) == 1, f"{by_all} {raw!r}"


def age_is_fine(event: dict[str, Any]) -> bool:
    """`read` alone does not know the age limit."""
    return intake(json.dumps(event | {"time": None}).encode()) == intake(json.dumps(event).encode())


@settings(max_examples=examples(150), deadline=None, database=None)
@given(near_events())
def test_a_cloud_event_is_judged_as_the_event_that_it_states(raw):
    """With the same facts, both are the same event, or neither is one."""
    event = json.loads(raw)
    if event.get("event_id") is None:
        event["event_id"] = "e"  # which a CloudEvent must have
    if isinstance(event.get("sequence"), str):
        del event["sequence"]  # which a CloudEvent may have as a text
    names = {"event_id": "id", "occurred_at": "time", "action": "type", "sequence": "sequence"}
    stated = {name: event[mine] for mine, name in names.items() if mine in event}
    data = {"data": event["data"]} if "data" in event else {}
    known = {name: event[name] for name in event if name in {*names, "data"}}

    plain = read_document(known)
    by_cloud_event = read_document({"specversion": "1.0", "source": "s", **stated, **data})

    assert plain == by_cloud_event


def read_document(document: dict[str, Any]) -> Event | None:
    return as_read(json.dumps(document).encode())


TEXT_ATTRIBUTES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("id", "source", "subject", "traceparent"), st.text(max_size=20)),
    "type": st.sampled_from(["ticket_win", "a.ticket_lost", "ticket_lose"]),
    "time": st.sampled_from(["2026-11-20T10:00:00Z", "2026-11-20 9:00+01:00", "soon"]),
    "sequence": st.sampled_from(["1", "07", "x"]),
}


@settings(max_examples=examples(150), deadline=None, database=None)
@given(st.fixed_dictionaries({}, optional=TEXT_ATTRIBUTES), near_events(), st.data())
def test_binary_mode_states_the_same_event_as_structured_mode(attributes, event, data):
    """Whatever the attributes hold: percent-encoded as little or as much as a sender likes."""
    given_ = {"id": "e", "source": "s", "type": "ticket_win", **attributes, "specversion": "1.0"}
    assume(json.loads(event).get("data") is not None)
    body = json.dumps(json.loads(event)["data"]).encode()
    document = json.dumps(given_)[:-1].encode() + b',"data":' + body + b"}"
    safe = data.draw(st.sampled_from(["", "".join(map(chr, range(0x21, 0x7F)))]))
    allowed = safe.translate({ord(character): None for character in '%"'})
    headers = [
        (f"ce-{name}".encode(), quote(value, safe=allowed).encode())
        for name, value in given_.items()
    ]
    form = body_form(Headers(raw=[*headers, (b"content-type", b"application/json")]))
    assert form is not None

    line = form.to_event(body)

    assert (as_read(line) if isinstance(line, bytes) else None) == as_read(document)
