"""The statements of a search. Each reads what it returns, by an index, however much there is.

Without an operator a ticket is looked up under each operator: LATERAL with LIMIT makes the planner
do that by the index that begins with the operator, so no index without one is needed.
"""

from typing import Final

from sqlalchemy import text

from models.history.ticket_status import TICKET_STATUS
from models.tables.notice import TRANSACTION_ID

_OPERATORS: Final = """
      FROM (SELECT id, code FROM operator
             WHERE CAST(:operator AS text) IS NULL OR code = :operator) AS o"""
_OF_OPERATOR: Final = """
       AND (CAST(:operator AS text) IS NULL
            OR {} = (SELECT id FROM operator WHERE code = :operator))"""
_TICKET: Final = f"""
    SELECT o.code AS operator, t.ticket_id, {TICKET_STATUS} AS status,
           t.details ->> 'ticket_code' AS ticket_code, t.details ->> 'player_id' AS player_id,
           t.created_at AS at"""
_NOTICE: Final = f"""
    SELECT o.code AS operator, t.ticket_id, {TICKET_STATUS} AS status, n.id AS notice, n.event_id,
           n.action, n.generation, coalesce(n.ended, 'waiting') AS outcome, n.created_at AS at"""
_TICKET_OF_NOTICE: Final = """
     CROSS JOIN LATERAL (SELECT * FROM ticket WHERE id = n.ticket LIMIT 1) AS t
     CROSS JOIN LATERAL (SELECT code FROM operator WHERE id = t.operator LIMIT 1) AS o"""


def _tickets(condition: str) -> str:
    return f"""{_TICKET}
    {_OPERATORS}
     CROSS JOIN LATERAL (
           SELECT * FROM ticket WHERE operator = o.id AND {condition}
            ORDER BY id DESC LIMIT :limit) AS t
     ORDER BY t.id DESC LIMIT :limit"""  # noqa: S608 - constants of this module


BY_TICKET_ID: Final = text(
    f"""{_TICKET}
    {_OPERATORS}
     CROSS JOIN LATERAL (
           SELECT * FROM ticket WHERE operator = o.id AND ticket_id = :value LIMIT 1) AS t
     ORDER BY t.id DESC LIMIT :limit"""  # noqa: S608 - constants of this module
)
BY_CODE: Final = text(_tickets("details ->> 'ticket_code' = :value"))
BY_PLAYER: Final = text(_tickets("details ->> 'player_id' = :value"))

PLAYER_TICKETS: Final = text(
    f"""
    SELECT t.id AS number, o.code AS operator, t.ticket_id, {TICKET_STATUS} AS status,
           t.details ->> 'ticket_code' AS ticket_code, t.created_at
      FROM operator o
     CROSS JOIN LATERAL (
           SELECT * FROM ticket
            WHERE operator = o.id AND details ->> 'player_id' = :value
              AND id < coalesce(CAST(:before AS bigint), 9223372036854775807)
            ORDER BY id DESC LIMIT :limit) AS t
     ORDER BY t.id DESC LIMIT :limit"""  # noqa: S608 - constants of this module
)
OPERATORS_OF_PLAYER: Final = text("""
    SELECT o.code FROM operator o
     WHERE EXISTS (SELECT FROM unnest(CAST(:forms AS text[])) AS form
                    CROSS JOIN LATERAL (
                          SELECT 1 FROM ticket
                           WHERE operator = o.id AND details ->> 'player_id' = form
                           ORDER BY id LIMIT 1) AS t)
     ORDER BY o.code""")

BY_NOTICE: Final = text(
    f"""{_NOTICE}
      FROM notice n {_TICKET_OF_NOTICE}
     WHERE n.id = :value {_OF_OPERATOR.format("n.operator")} LIMIT :limit"""
)
BY_TRANSACTION: Final = text(
    f"""{_NOTICE}
      FROM (SELECT * FROM notice
             WHERE {TRANSACTION_ID} = :value AND path <> '' {_OF_OPERATOR.format("operator")}
             LIMIT :limit) AS n {_TICKET_OF_NOTICE}
     ORDER BY n.id DESC"""  # noqa: S608 - constants of this module
)
BY_KEY: Final = text(
    f"""{_NOTICE}
      FROM operator o
     CROSS JOIN LATERAL (
           SELECT * FROM ticket WHERE operator = o.id AND ticket_id = :ticket_id LIMIT 1) AS t
     CROSS JOIN LATERAL (
           SELECT * FROM notice
            WHERE ticket = t.id AND action = :action AND generation = :generation
            LIMIT :limit) AS n
     WHERE o.code = :key_operator
       AND (CAST(:operator AS text) IS NULL OR o.code = :operator)
     ORDER BY n.id DESC LIMIT :limit"""  # noqa: S608 - constants of this module
)
BY_ENTRY: Final = text("""
    SELECT r.rejected_at AS at, r.operator, r.ticket_id, r.event_id, r.entry_id,
           'rejected' AS outcome
      FROM rejected_input r
     WHERE r.entry_id = :value
       AND (CAST(:operator AS text) IS NULL OR r.operator = :operator) LIMIT :limit""")
KNOWN_OPERATOR: Final = text("SELECT EXISTS (SELECT FROM operator WHERE code = :operator)")
