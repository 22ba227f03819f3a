"""An event over the age limit is refused at once, with the limit, however it is sent."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.gateway_app import event

AN_EVENT, AN_ARRAY, LINES = "an event", "an array", "lines"


@pytest.mark.parametrize("dry_run", ["true", "false"])
@pytest.mark.parametrize("kind", [AN_EVENT, AN_ARRAY, LINES])
def test_an_event_over_the_age_limit_is_refused_at_once(gateway_app, kind, dry_run):
    acme = gateway_app.operator()
    key = gateway_app.key(acme)
    now = datetime.now(UTC)  # noqa: TID251 - the gateway's clock is the real one
    long_ago = (now - timedelta(days=31)).isoformat()
    old = event(acme, "T", event_id="old", occurred_at=long_ago)
    fresh = event(acme, "T", event_id="fresh")
    bodies = {AN_EVENT: old, AN_ARRAY: [fresh, old]}

    if kind == LINES:
        response = gateway_app.publish_lines(key, json.dumps(old), dry_run=dry_run)
    else:
        response = gateway_app.publish(key, bodies[kind], dry_run=dry_run)

    assert response.status_code == 422
    [error] = response.json()["errors"]
    assert "is more than 30d, less a margin of 60 s, ago" in error["message"]
    assert "SLIPWAY_EVENT_AGE_MAX" in error["message"]
    assert gateway_app.on_stream() == []
