"""A key that appears twice in one object is refused by name; the raw text is stored."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.events.decode import read
from models.events.duplicate_keys import find_duplicate_keys
from models.events.event import Event
from tests.support import envelopes, lottery
from tests.support.entries import HEAD, accepted, entry, refused, with_data

TWICE = [
    (b'{"action":"ticket_lost","action":"ticket_win","data":{%s}}', "action"),
    (b'{"action":"ticket_win","action":"ticket_lose","data":{%s}}', "action"),
    (b'{"action":"ticket_win","data":{%s},"data":{%s}}', "data"),
    (b'{"event_id":"1","action":"ticket_win","data":{%s},"event_id":"1"}', "event_id"),
    (b'{"action":"ticket_win","data":{%s,"net_payout":1,"net_payout":2}}', "data.net_payout"),
    (b'{"action":"ticket_win","data":{%s,"net_payout":1,"net\\u005fpayout":1}}', "data.net_payout"),
    (b'{"action":"ticket_win","data":{%s,"price" : 1,"price"\n:\t1}}', "data.price"),
    (b'{"action":"ticket_win","data":{%s,"price":1,"price":null}}', "data.price"),
    (b'{"action":"ticket_win","data":{%s,"shop":{"a":[{"b":1,"b":1}]}}}', "data.shop.a.0.b"),
    (b'{"action":"ticket_win","data":{%s},"x":{"y":"","y":""}}', "x.y"),
    (b'{"action":"ticket_win","data":{%s},"":1,"":1}', ""),
    (b'{"action":"ticket_win","data":{%s,"a:b":":","a:b":"::"}}', "data.a:b"),
    (b'{"action":"ticket_win","data":{%s,"x":{"y":1,"y":2},"x":3}}', "data.x"),
    ('{"action":"ticket_win","data":{%s,"ä":1,"\\u00e4":1}}'.encode(), "data.ä"),
    ('{"action":"ticket_win","data":{%s,"💶":1,"\\ud83d\\udcb6":1}}'.encode(), "data.💶"),
]


@pytest.mark.parametrize(("text", "name"), TWICE)
def test_the_key_is_named_and_the_text_is_kept(text, name):
    raw = text.replace(b"%s", HEAD.encode())

    rejected = refused(raw)

    assert (rejected.reason, rejected.raw, rejected.whole) == ("invalid_event", raw, True)
    assert rejected.message == f"{name}: appears twice in one object; send it once"


def test_the_same_key_in_two_objects_is_no_matter():
    accepted(with_data('"a":{"x":1,"ticket_id":2},"b":[{"x":1},{"x":1}]'))


def test_a_lottery_s_amount_twice_is_not_a_guess():
    raw = lottery.with_amount("100.5").replace(b'"amount"', b'"amount": 1, "amount"')

    assert str(lottery.wrong(raw)) == "amount: appears twice in one object; send it once"
    assert lottery.refused(raw).raw == raw


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        (b'"is_winning_line"', b'"is_winning_line": false, "is_winning_line"', "lines.0.is_winnin"),
        (b'"ticket_id"', b'"ticket_id": "1", "ticket\\u005fid"', "ticket_id: "),
        (b'"lines"', b'"meta": {"a": {"b": 1, "b": 2}}, "lines"', "meta.a.b: "),
    ],
)
def test_anywhere_in_a_lottery_s_message(old, new, name):
    assert str(lottery.wrong(lottery.settlement().replace(old, new))).startswith(name)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            envelopes.task().replace(b'"task":', b'"task": "ticket_lost", "task":'),
            "the message's headers.task: appears twice in one object; send it once",
        ),
        (
            envelopes.task().replace(b'"body":', b'"body": "e30=", "body":'),
            "the message's body: appears twice in one object; send it once",
        ),
        (
            envelopes.envelope(
                b'[[],{%s,"net_payout":1,"net_payout":2},null]' % HEAD.encode(),
                headers={"task": "ticket_win", "id": "1"},
            ),
            "the message's body: 1.net_payout: appears twice in one object; send it once",
        ),
        (
            envelopes.envelope(
                b'{"task":"ticket_win","id":"1","kwargs":{},"kwargs":{%s}}' % HEAD.encode()
            ),
            "the message's body: kwargs: appears twice in one object; send it once",
        ),
        (
            envelopes.envelope(b'{"action":"ticket_win","action":"ticket_win","data":{}}'),
            "the message's body: action: appears twice in one object; send it once",
        ),
    ],
)
def test_anywhere_in_a_celery_message(raw, message):
    rejected = envelopes.refused(raw)

    assert (rejected.reason, rejected.message, rejected.raw) == ("invalid_event", message, raw)


def test_a_large_object_takes_no_longer_than_its_length():
    keys = ",".join(f'"{number}":1' for number in range(20_000))

    (result,) = find_duplicate_keys(f'{{{keys},"19999":1}}'.encode())

    assert result == ((), "19999")


NAMES = st.sampled_from(["a", "b", "\u00e4", ":", '"', "\\", "price", "event_id"])
TEXTS = st.text(':"\\ab\u00e4{},', max_size=5)


class Pairs(list[tuple[str, Any]]):
    """An object whose keys may repeat."""


VALUES = st.recursive(
    st.integers(0, 9) | TEXTS,
    lambda inner: st.lists(st.tuples(NAMES, inner), max_size=4).map(Pairs) | st.lists(inner),
    max_leaves=8,
)


def written(value: object, *, escaped: bool, gap: str) -> str:
    if isinstance(value, Pairs):
        keys = [json.dumps(name, ensure_ascii=escaped) + gap for name, _ in value]
        values = [written(member, escaped=escaped, gap=gap) for _, member in value]
        return f"{{{','.join(map(':'.join, zip(keys, values, strict=True)))}}}"
    if isinstance(value, list):
        return f"[{','.join(written(element, escaped=escaped, gap=gap) for element in value)}]"
    return json.dumps(value, ensure_ascii=escaped)


def has_twice(value: object) -> bool:
    if isinstance(value, Pairs):
        names = [name for name, _ in value]
        return len(names) != len(set(names)) or any(has_twice(member) for _, member in value)
    return isinstance(value, list) and any(map(has_twice, value))


@given(
    top=st.lists(st.tuples(st.just("x") | st.just("event_id"), TEXTS), max_size=2).map(Pairs),
    extra=st.lists(st.tuples(st.sampled_from(["y", "z", "ä:"]), VALUES), max_size=3).map(Pairs),
    escaped=st.booleans(),
    gap=st.sampled_from(["", " "]),
)
def test_none_is_overlooked(top, extra, escaped, gap):
    data = Pairs([("operator", "a"), ("ticket_id", "t"), *extra])
    event = Pairs([("action", "ticket_win"), ("data", data), *top])

    result = read(entry(written(event, escaped=escaped, gap=gap).encode()))

    if has_twice(event):
        assert not isinstance(result, Event)
    elif isinstance(result, Event):
        assert result.data.keys() == {name for name, _ in data}
    else:
        assert "appears twice" not in result.message
