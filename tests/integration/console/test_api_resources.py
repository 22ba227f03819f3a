"""What the operations API reads and does, resource by resource."""

import re
from typing import Any

import pytest

from models.outbox.values import Dead
from tests.support.api_client import OperationsApi
from tests.support.harness import SLIP, Harness
from tests.support.tombstones import leave_tombstone
from tests.support.wait import eventually

TICKET = "/tickets/acme/T"
MASK = "•••"
TERMS = (
    "url",
    "agent",
    "sign_calls",
    "close_delay",
    "announces_tickets",
    "rate",
    "in_flight",
    "timezone",
    "lottery_ticket",
)


@pytest.fixture
def slip(harness: Harness) -> None:
    """A ticket of a player, with amounts."""
    harness.say("ticket_open", **SLIP)


@pytest.fixture
def dead(harness: Harness) -> int:
    """A dead notice of ticket T."""
    harness.say("ticket_win")
    (claim,) = harness.claim()
    harness.record(claim, Dead("answered 400"))
    return claim.notice


@pytest.mark.usefixtures("slip")
def test_a_ticket_is_shown_with_its_sentence_and_its_history(api: OperationsApi):
    shown = api.support.read(TICKET)

    assert shown["sentence"]
    assert shown["history"]["ticket"]["status"] == "open"
    assert shown["history"]["ticket"]["close_delay"] == "24h"
    assert shown["history"]["ticket"]["details"]["player_id"] == "player"
    assert [event["action"] for event in shown["history"]["events"]] == ["ticket_open"]


def test_an_event_names_its_trace_wherever_it_is_found(api: OperationsApi, harness: Harness):
    entry = harness.event("ticket_rollback", event_id="e")
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    harness.publish(type(entry)(entry.id, {**entry.fields, b"traceparent": trace}))

    listed = api.viewer.read("/events", outcome="parked")["items"]
    matches = api.viewer.read("/events/e")["lines"]
    event = api.viewer.read(f"{TICKET}/events/e")

    assert {each["trace_id"] for each in (*listed, *matches, event)} == {trace[3:35].decode()}


@pytest.mark.usefixtures("slip")
def test_a_viewer_sees_no_player_and_no_amount_anywhere(api: OperationsApi):
    shown = api.viewer.get(TICKET)
    match = api.viewer.read("/search", q="T")

    assert shown.json()["history"]["ticket"]["details"]["player_id"] == MASK
    assert shown.json()["history"]["events"][0]["data"]["gross_payout"] == MASK
    assert '"player"' not in shown.text
    assert not re.search(r"\b1145\b", shown.text)
    assert match["kinds"][0]["lines"][0]["player_id"] == MASK


def test_a_viewer_sees_an_attempt_without_its_texts(api: OperationsApi, dead: int):
    masked = api.viewer.read(f"/notices/{dead}/attempts/0")
    shown = api.support.read(f"/notices/{dead}/attempts/0")

    assert (masked["request"]["body"], masked["request"]["curl"]) == (MASK, MASK)
    assert "ticket_win" in shown["request"]["body"]
    assert masked["verdict"] == shown["verdict"] == "dead"


def test_what_is_not_there_is_a_404(api: OperationsApi):
    for path in ("/tickets/acme/none", "/partners/none", "/jobs/7", "/rejected-input/1-0"):
        assert api.support.get(path).status_code == 404, path


def test_a_ticket_that_was_removed_is_a_404_that_says_so(api: OperationsApi, harness: Harness):
    why = leave_tombstone(harness.engine, "acme", "T")
    response = api.support.get(TICKET)

    assert response.status_code == 404
    assert why in response.text


@pytest.mark.usefixtures("slip")
def test_a_ticket_that_has_changed_since_it_was_read_is_left_alone(
    api: OperationsApi, harness: Harness
):
    standing = api.support.read(TICKET)["standing"]
    harness.say("ticket_win")

    stale = api.support.act(f"{TICKET}/hold", expected=standing)
    fresh = api.support.act(f"{TICKET}/hold", expected=api.support.read(TICKET)["standing"])

    assert (stale.status_code, fresh.status_code) == (409, 200)
    assert len(api.acts("ticket_held")) == 1


@pytest.mark.usefixtures("slip")
def test_a_result_is_published_by_hand_once(api: OperationsApi):
    body = {"action": "ticket_win", "key": "one"}
    first, again = (api.support.act(f"{TICKET}/publish", **body) for _ in range(2))

    assert first.status_code == 200, first.text
    assert first.json()["outcome"] == "applied"
    assert again.json() == first.json()
    assert [act["who"] for act in api.acts("event_published")] == ["token support"]


def test_a_dead_notice_is_listed_and_retried(api: OperationsApi, dead: int):
    page = api.viewer.read("/notices", outcome="dead", operator="acme")
    done = api.support.act(f"/notices/{dead}/retry")
    stale = api.support.act(f"/notices/{dead}/retry")

    assert [line["id"] for line in page["items"]] == [dead]
    assert done.json()["resolution"] == "retry"
    assert stale.status_code == 409
    assert api.viewer.read("/notices", outcome="dead")["items"] == []


def test_a_dead_notice_is_skipped_as_the_client_says(api: OperationsApi, dead: int):
    done = api.support.act(f"/notices/{dead}/skip", skip_as="not_delivered")

    assert done.json()["resolution"] == "skip_not_delivered"
    assert api.support.act(f"/notices/{dead}/skip", skip_as="perhaps").status_code == 422


def test_lists_go_on_where_a_page_ended_and_hold_each_line_once(
    api: OperationsApi, harness: Harness
):
    for number in range(5):
        harness.say("ticket_rollback", f"T{number}")
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = api.viewer.read("/events", outcome="parked", limit=2, **after)
        seen += [line["ticket_id"] for line in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}

    assert sorted(seen) == [f"T{number}" for number in range(5)]
    assert api.viewer.get("/events", after="forged").status_code == 422


def test_an_event_is_dropped_only_as_it_was_seen(api: OperationsApi, harness: Harness):
    harness.say("ticket_rollback")
    (line,) = api.viewer.read("/events", outcome="parked")["items"]
    path = f"{TICKET}/events/{line['event_id']}/drop"

    stale = api.support.act(path, outcome="rejected")
    done = api.support.act(path, outcome="parked")

    assert stale.status_code == 409
    assert done.json()["events"][0]["outcome"] == "rejected"


@pytest.mark.usefixtures("harness")
def test_a_partner_is_disabled_and_enabled(api: OperationsApi):
    off = api.operations.act("/partners/acme/disable")
    again = api.operations.act("/partners/acme/disable")
    shown = api.viewer.read("/partners/acme")

    assert (off.json()["changed"], again.json()["changed"]) == (True, False)
    assert shown["health"]["disabled_at"] is not None
    assert api.operations.act("/partners/acme/enable").json()["disabled"] is False


@pytest.mark.usefixtures("harness")
def test_terms_are_changed_and_what_is_wrong_with_them_is_said(api: OperationsApi):
    changed = api.operations.act("/partners/acme/terms", terms={"close_delay": "36h", "rate": 5})
    wrong = api.operations.act("/partners/acme/terms", terms={"close_delay": "soon"})
    null = api.operations.act("/partners/acme/terms", terms={"url": None})

    assert changed.json()["changed"] == ["close_delay", "rate"]
    assert changed.json()["terms"]["close_delay"] == "36h"
    assert (wrong.status_code, null.status_code) == (422, 422)


@pytest.mark.usefixtures("harness")
def test_terms_that_have_changed_since_they_were_read_are_left_alone(api: OperationsApi):
    operator = api.operations.read("/partners/acme")["operator"]["operator"]
    seen = {name: operator[name] for name in TERMS}
    path = "/partners/acme/terms"

    first = api.operations.act(path, terms={"close_delay": "36h"}, expected=seen)
    late = api.operations.act(path, terms={"rate": 5}, expected=seen)
    other = api.operations.act(path, terms={"rate": 5}, expected={"url": seen["url"]})

    assert first.status_code == 200, first.text
    assert late.status_code == 409
    assert "now it is 36h" in late.json()["message"]
    assert other.json()["changed"] == ["rate"]


@pytest.mark.usefixtures("harness")
def test_a_time_is_written_out_and_not_a_number(api: OperationsApi):
    number = api.viewer.get("/interventions", since="-110479")
    written = api.viewer.get("/interventions", since="2026-01-01T00:00:00Z")

    assert (number.status_code, written.status_code) == (422, 200)
    assert "2026-01-31T12:00:00Z" in number.text


@pytest.mark.usefixtures("harness")
def test_a_partnership_ends_only_when_its_code_is_typed(api: OperationsApi):
    refused = api.operations.act("/partners/acme/end", confirm="beta")
    counts = api.operations.read("/partners/acme/end")
    ended = api.operations.act("/partners/acme/end", confirm="acme")

    assert refused.status_code == 422
    assert counts["tickets"] == 0
    assert ended.json()["job"]["kind"] == "end_partnership"
    assert api.operations.act("/partners/acme/enable").status_code == 409


def test_dead_notices_are_counted_and_worked_off_by_a_job_that_can_be_stopped(
    api: OperationsApi, dead: int
):
    body: dict[str, Any] = {"kind": "retry_notices", "arguments": {"operator": "acme"}}
    count = api.operations.post("/jobs/count", body)
    job = api.operations.act("/jobs", **body)
    stopped = api.operations.act(f"/jobs/{job.json()['id']}/stop")

    assert count.json() == {"number": 1, "exact": True}
    assert job.json()["expected"] == {"number": 1, "exact": True}
    assert stopped.json()["state"] == "stopped"
    assert [line["id"] for line in api.viewer.read("/jobs")["items"]] == [job.json()["id"]]
    assert dead


@pytest.mark.parametrize(
    "arguments",
    [
        {"ids": [2**70]},
        {"ids": []},
        {"nothing": 1},
        {"operator": 7},
        {"matched_until": "2026-01-01T00:00:00Z"},
    ],
)
@pytest.mark.usefixtures("harness")
def test_arguments_of_a_job_are_checked(api: OperationsApi, arguments):
    response = api.operations.act("/jobs", kind="retry_notices", arguments=arguments)

    assert response.status_code == 422, response.text


@pytest.mark.usefixtures("slip")
def test_a_player_is_erased_once(api: OperationsApi):
    player = {"operator": "acme", "player_id": "player"}
    estimate = api.operations.post("/erasures/estimate", player)
    first = api.operations.act("/erasures", key="one", **player)
    again = api.operations.act("/erasures", key="one", **player)

    assert estimate.json()["tickets"] == 1
    assert first.json() == again.json()
    assert '"player"' not in first.text
    assert len(api.operations.read("/erasures")["items"]) == 1


@pytest.mark.usefixtures("slip")
def test_what_was_done_is_listed_with_the_tokens_name(api: OperationsApi):
    api.support.act(f"{TICKET}/hold", why="the player disputes it")
    page = api.support.read("/interventions", operator="acme", ticket_id="T")
    hidden = api.viewer.read("/interventions", operator="acme", ticket_id="T")

    (line,) = page["items"]
    assert hidden["items"][0]["act"]["why"] == "•••", "it may name a player"
    assert (line["act"]["who"], line["act"]["why"]) == ("token support", "the player disputes it")
    assert line["sentence"]


@pytest.mark.usefixtures("slip")
def test_the_system_is_shown(api: OperationsApi):
    shown = api.viewer.read("/system")

    assert shown["stats"]["operators"][0]["code"] == "acme"
    eventually(lambda: api.viewer.read("/system")["checks"]["checked_at"] is not None)
    checks = api.viewer.read("/system")["checks"]
    assert checks["failure"] is None
    assert "wrong" in {finding["state"] for finding in checks["findings"]}  # no Redis is running


@pytest.mark.usefixtures("harness")
def test_a_plot_ends_now_unless_it_is_asked_otherwise(api: OperationsApi):
    shown = api.viewer.read("/partners/acme/plot")
    reversed_ = api.viewer.get(
        "/partners/acme/plot", since="2026-01-02T00:00:00Z", until="2026-01-01T00:00:00Z"
    )

    assert shown["points"] == [] or shown["step"]
    assert reversed_.status_code == 422


def test_the_docs_load_our_files_alone(api: OperationsApi):
    page = api.viewer.http.get("/api/v1/docs")
    script = api.viewer.http.get("/api/v1/docs/files/swagger-ui-bundle.js")

    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "://" not in page.text
    assert script.status_code == 200
    assert api.viewer.http.get("/api/v1/openapi.json").json()["paths"]["/search"]
