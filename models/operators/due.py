"""What is due of operators by the clock, which the sweep does: secrets and accesses that change."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

# All of them lock by id, as `models.operators.rotation.reencrypt_secrets` does.
FORGET_SECRETS: Final = text("""
    WITH over AS MATERIALIZED (
        SELECT id FROM operator WHERE forget_at <= :now ORDER BY id FOR NO KEY UPDATE)
    UPDATE operator o
       SET secret = o.next_secret, next_secret = NULL, switch_at = NULL, forget_at = NULL
      FROM over WHERE o.id = over.id AND o.forget_at <= :now
""")
MOVE_ACCESSES: Final = text("""
    WITH due AS MATERIALIZED (
        SELECT id FROM operator WHERE access_switch_at <= :now ORDER BY id FOR NO KEY UPDATE)
    UPDATE operator o
       SET access = o.next_access, access_facts = o.next_access_facts, next_access = NULL,
           next_access_facts = NULL, access_switch_at = NULL
      FROM due WHERE o.id = due.id AND o.access_switch_at <= :now""")
# Calls that were claimed before the end have their access in memory.
FORGET_ACCESSES: Final = text("""
    WITH ended AS MATERIALIZED (
        SELECT id FROM operator
         WHERE ended_at IS NOT NULL AND (access IS NOT NULL OR access_switch_at IS NOT NULL)
         ORDER BY id FOR NO KEY UPDATE)
    UPDATE operator o
       SET access = NULL, access_facts = NULL, next_access = NULL, next_access_facts = NULL,
           access_switch_at = NULL
      FROM ended WHERE o.id = ended.id""")


def forget_old_secrets(connection: Connection, *, now: datetime) -> int:
    """Delete the old secrets of completed rotations, which are no longer accepted.

    Returns the number of operators.
    """
    return connection.execute(FORGET_SECRETS, {"now": now}).rowcount


def move_accesses(connection: Connection, *, now: datetime) -> int:
    """Take into force the accesses whose time has come. Returns the number of operators."""
    return connection.execute(MOVE_ACCESSES, {"now": now}).rowcount


def forget_accesses(connection: Connection) -> int:
    """Empty the accesses of ended partnerships, which get no call any more (rule 24).

    Returns the number of operators.
    """
    return connection.execute(FORGET_ACCESSES).rowcount
