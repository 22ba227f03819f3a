"""A partner and a notice for it, as delivery gets them; tests replace what matters."""

from datetime import UTC, datetime
from uuid import UUID

from models.outbox.values import Claim, Partner
from models.vocabulary import Action

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
PARTNER = Partner(
    id=1,
    code="operator-code",
    protocol="pam",
    url="https://pam.example/hook",
    secret="sealed",
    agent=None,
    rate=None,
    in_flight=32,
)
WIN = Claim(
    notice=7,
    ticket=5,
    operator=1,
    operator_code="operator-code",
    ticket_id="1330556611374148608",
    action=Action.WIN,
    generation=2,
    path="",
    body='{"action":"ticket_win","data":'
    '{"operator":"operator-code","ticket_id":"1330556611374148608"}}',
    stored_key=None,
    number=1,
    tries=0,
    first_tried_at=None,
    claimed_at=NOW,
    lease=UUID(int=1),
)
