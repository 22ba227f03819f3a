"""The main road with every process: an event in, a signed notice out, the ticket closed."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from models.platform.signing import sign
from producers.simulation.partner import SimulatedPartner
from tests.support.running_slipway import RunningSlipway, running_slipway
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually

SECRET = "12345ABCDE-12345ABCDE"
CLOSE_DELAY = timedelta(seconds=2)
OPERATOR, TICKET = "operator-code", "1330556611374148608"  # of the partner's own sample requests


@pytest.fixture(scope="module")
def partner() -> Iterator[SimulatedPartner]:
    with SimulatedPartner(secret=SECRET) as running:
        yield running


@pytest.fixture(scope="module")
def slipway(partner: SimulatedPartner) -> Iterator[RunningSlipway]:
    with passable_folder() as folder, running_slipway(folder) as running:
        secret = folder / "partner.secret"
        secret.write_text(SECRET)
        running.command(
            f"operators add {OPERATOR} --url {partner.url} --protocol pam --close-delay 2s"
            f" --secret-file {secret} --why 'the main road'"
        )
        yield running


def add(slipway: RunningSlipway, event: str) -> None:
    """As a backend does in any language: `redis-cli XADD ticket-events '*' event EVENT`."""
    slipway.redis().xadd("ticket-events", {"event": event})


def taken_by(partner: SimulatedPartner, ticket_id: str) -> list[str]:
    entries = partner.ledger.entries()
    return [str(entry.action) for entry in entries if entry.ticket_id == ticket_id and entry.taken]


@pytest.mark.slow
def test_the_documented_line_leads_to_the_partner_s_own_sample_requests(
    slipway: RunningSlipway, partner: SimulatedPartner
):
    """Contracts 1.3, 1.4. Without event_id and occurred_at it is their sample itself."""
    win = (
        '{"action":"ticket_win","data":{"operator":"operator-code",' + f'"ticket_id":"{TICKET}"}}}}'
    )
    add(slipway, win)
    eventually(
        lambda: taken_by(partner, TICKET) == ["ticket_win", "ticket_closed"],
    )

    sent, closed = (entry for entry in partner.ledger.entries() if entry.ticket_id == TICKET)
    assert sent.body == win.encode()
    assert closed.body == win.replace("ticket_win", "ticket_closed").encode()
    for call in (sent, closed):
        headers = dict(call.headers)
        timestamp = int(headers["timestamp"])
        assert headers["signature"] == sign(call.body, timestamp=timestamp, secret=SECRET)
        assert abs(timestamp - datetime.now(UTC).timestamp()) < 60  # noqa: TID251 - the partner's clock
    assert sent.answered_at is not None
    assert closed.received_at - sent.answered_at >= CLOSE_DELAY
    assert [sent.idempotency_key, closed.idempotency_key] == [
        f"{OPERATOR}/{TICKET}/ticket_win/1",
        f"{OPERATOR}/{TICKET}/ticket_closed/1",
    ]


@pytest.mark.slow
def test_a_rollback_in_between_prevents_the_close_and_the_next_result_starts_a_full_delay(
    slipway: RunningSlipway, partner: SimulatedPartner
):
    began = datetime.now(UTC) - timedelta(seconds=10)  # noqa: TID251 - a backend's clock

    def event(number: int, action: str) -> str:
        return json.dumps(
            {
                "event_id": f"7f{number}",
                "occurred_at": (began + timedelta(milliseconds=number)).isoformat(),
                "action": action,
                "data": {"operator": OPERATOR, "ticket_id": "2"},
            }
        )

    add(slipway, event(1, "ticket_win"))
    eventually(lambda: taken_by(partner, "2") == ["ticket_win"])
    add(slipway, event(2, "ticket_rollback"))
    eventually(lambda: taken_by(partner, "2") == ["ticket_win", "ticket_rollback"])
    add(slipway, event(3, "ticket_lost"))
    eventually(
        lambda: (
            taken_by(partner, "2")
            == ["ticket_win", "ticket_rollback", "ticket_lost", "ticket_closed"]
        ),
    )

    _, _, lost, closed = (entry for entry in partner.ledger.entries() if entry.ticket_id == "2")
    assert lost.answered_at is not None
    assert closed.received_at - lost.answered_at >= CLOSE_DELAY
    story = json.loads(slipway.command("ticket 2 --json"))
    assert "closed" in json.dumps(story)
