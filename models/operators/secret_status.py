"""How old an operator's secret is, and what of its rotation is still to come; never the secret."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from models.operators.listing import unknown_operator
from models.operators.secrets import EncryptedSecrets
from models.platform.timestamps import parse_timestamp

ROTATIONS_MAX: Final = 20  # that are looked at; all but the last few have long been in force

FIND: Final = text("""
    SELECT secret, next_secret, switch_at, forget_at, created_at
      FROM operator WHERE code = :code""")
# By the index `intervention_operator_itself`, as `models.operators.listing` does it.
ROTATIONS: Final = text("""
    SELECT at, facts ->> 'switch_at' AS switch_at FROM intervention
     WHERE (operator, id) >= (:code, 0) AND (operator, id) <= (:code, 9223372036854775807)
       AND ticket IS NULL AND did = 'secret_rotated'
     ORDER BY operator DESC, id DESC LIMIT :limit""")


@dataclass(frozen=True, slots=True)
class SecretStatus:
    """Which secret signs, and since when.

    *switch_at*: from then on the next secret signs; None if there is none that waits. *forget_at*:
    until then the old secret is accepted as well; None if there is one secret. *version*: for
    `models.operators.rotation.require_secret`.
    """

    signing_since: datetime
    switch_at: datetime | None
    forget_at: datetime | None
    version: str


def secret_status(connection: Connection, code: str, *, now: datetime) -> SecretStatus:
    """Return the status of an operator's secret. Raises OperatorNotFound."""
    row = connection.execute(FIND, {"code": code}).one_or_none()
    if row is None:
        raise unknown_operator(connection, code)
    rotations = connection.execute(ROTATIONS, {"code": code, "limit": ROTATIONS_MAX})
    secrets = EncryptedSecrets(row.secret, row.next_secret, row.switch_at, row.forget_at)
    in_two = len(secrets.verifying(now)) > 1
    return SecretStatus(
        signing_since=_signing_since(
            [(rotation.at, parse_timestamp(rotation.switch_at)) for rotation in rotations],
            added_at=row.created_at,
            now=now,
        ),
        switch_at=row.switch_at if in_two and row.switch_at > now else None,
        forget_at=row.forget_at if in_two else None,
        version=secrets.version,
    )


def _signing_since(
    rotations: Sequence[tuple[datetime, datetime]], *, added_at: datetime, now: datetime
) -> datetime:
    """Return since when the present secret signs; each rotation: when asked, when to switch.

    The newest first. A rotation that the next one replaced before its switch never signed.
    """
    replaced_at = now
    for rotated_at, switch_at in rotations:
        if switch_at <= replaced_at:
            return switch_at
        replaced_at = rotated_at
    return added_at
