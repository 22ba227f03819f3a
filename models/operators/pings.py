"""Records what a person's call to a partner met, with the name and the reason."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from models.operators.interventions import Change, Person, record_intervention

PINGED: Final = "partner_pinged"


def record_ping(
    connection: Connection,
    code: str,
    facts: Mapping[str, Any],
    *,
    signed: bool,
    person: Person,
    now: datetime,
) -> None:
    """Record a call that a person had made to the partner; *facts* hold no secret."""
    change = Change(PINGED, operator=code, facts={"signed": signed, **facts})
    record_intervention(connection, change, person=person, at=now)
