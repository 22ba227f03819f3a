"""Messages that kombu or Celery cannot handle never reach them: `message_validation`."""

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.celery.message_validation import validate


def envelope(**changed: object) -> bytes:
    whole = {
        "body": b64encode(json.dumps([[], {}, {}]).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": "deliver", "id": "1"},
        "properties": {
            "delivery_tag": "tag",
            "delivery_info": {"exchange": "", "routing_key": "deliver"},
            "body_encoding": "base64",
        },
    }
    return json.dumps({**whole, **changed}).encode()


def test_a_message_of_celery_s_passes():
    assert validate(envelope())["headers"]["task"] == "deliver"


@pytest.mark.parametrize(
    "item",
    [
        b"not JSON",
        b"[]",
        b'{"event":"win"}',
        envelope(headers=None),
        envelope(headers={"task": "deliver"}),
        envelope(headers={"task": "deliver", "id": ""}),
        envelope(properties={}),
        envelope(properties={"delivery_tag": "t", "delivery_info": {"routing_key": "deliver"}}),
        envelope(body="not base64!"),
        envelope(body=b64encode(b"not JSON").decode()),
        envelope(body=b64encode(b'{"a":1}').decode()),
        envelope(body=b64encode(b"[1,2,3]").decode()),
    ],
)
def test_a_malformed_message_is_refused(item):
    with pytest.raises((ValueError, KeyError, TypeError)):
        validate(item)


@given(st.binary(max_size=200) | st.text(max_size=50).map(lambda words: envelope(body=words)))
def test_nothing_else_is_ever_raised(item):
    try:
        validate(item)
    except (ValueError, KeyError, TypeError):
        return
