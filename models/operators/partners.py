"""The partners as delivery needs them: address, protocol, secret and limits."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from models.operators.ended import OperatorEnded
from models.operators.secrets import EncryptedSecrets
from models.outbox.values import Partner

# Text, not SQLModel: each deliverer reads all rows every second, so they are not made entities.
_PARTNER: Final = """
    SELECT id, code, protocol, url, secret, next_secret, switch_at, forget_at, agent, sign_calls,
           rate, in_flight, user_agent, timeout, retry_schedule, retry_limit, taken, create_taken,
           success_json, success_text, pass_trace, access, next_access, access_switch_at
      FROM operator"""
ENABLED: Final = text(f"{_PARTNER} WHERE disabled_at IS NULL AND ended_at IS NULL ORDER BY id")
ONE: Final = text(f"{_PARTNER} WHERE code = :code")
ENDED_AT: Final = text("SELECT ended_at FROM operator WHERE code = :code AND ended_at IS NOT NULL")


def enabled_partners(connection: Connection, *, now: datetime) -> list[Partner]:
    """Return the enabled operators as of *now*.

    The notices of a disabled one are held; one whose partnership has ended gets none (rule 24).
    """
    return [_partner(row, now) for row in connection.execute(ENABLED)]


def find_partner(connection: Connection, code: str, *, now: datetime) -> Partner | None:
    """Return the operator with this code as of *now*, enabled or not, or None.

    Raises OperatorEnded: nothing is sent any more, not even a ping.
    """
    ended_at = connection.execute(ENDED_AT, {"code": code}).scalar_one_or_none()
    if ended_at is not None:
        raise OperatorEnded(code, ended_at)
    row = connection.execute(ONE, {"code": code}).one_or_none()
    return None if row is None else _partner(row, now)


def require_partner(connection: Connection, code: str, *, now: datetime) -> Partner:
    """Return the operator with this code as of *now*. Raises OperatorNotFound, OperatorEnded."""
    partner = find_partner(connection, code, now=now)
    if partner is None:
        from models.operators.listing import (  # noqa: PLC0415 - a deliverer holds no tables
            unknown_operator,
        )

        raise unknown_operator(connection, code)
    return partner


def _partner(row: Row[Any], now: datetime) -> Partner:
    secrets = EncryptedSecrets(row.secret, row.next_secret, row.switch_at, row.forget_at)
    return Partner(
        id=row.id,
        code=row.code,
        protocol=row.protocol,
        url=row.url,
        secret=secrets.signing(now),
        agent=row.agent,
        sign_calls=row.sign_calls,
        rate=row.rate,
        in_flight=row.in_flight,
        access=_access(row, now),
        user_agent=row.user_agent,
        timeout=row.timeout,
        retry_schedule=row.retry_schedule,
        retry_limit=row.retry_limit,
        taken=row.taken,
        create_taken=row.create_taken,
        success_json=row.success_json,
        success_text=row.success_text,
        pass_trace=row.pass_trace,
    )


def _access(row: Row[Any], now: datetime) -> str | None:
    is_over = row.access_switch_at is not None and row.access_switch_at <= now
    sealed: str | None = row.next_access if is_over else row.access
    return sealed
