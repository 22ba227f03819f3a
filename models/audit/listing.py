"""Lists what people did, newest first, by filters. Reads only.

A filter walks one index, that of the condition which fewest rows meet (asked for with a bounded
count), and examines a bounded stretch of it: a page costs the same with millions of rows. A page
may therefore hold less than was asked for, even nothing, and still not be the last one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple

from annotated_types import Ge, Le
from pydantic import AwareDatetime
from sqlalchemy import Connection, TextClause, text

from models.audit.acts import act_sentence, act_title

EXAMINED_MAX: Final = 10_000  # rows for a page
_PROBED_MAX: Final = 1_000  # rows until a condition counts as met by many
_ID_MAX: Final = 2**63 - 1

_UPPER: Final = "coalesce(CAST(:upper_at AS timestamptz), timestamptz 'infinity'), :upper_id"
_LOWER: Final = "coalesce(CAST(:since AS timestamptz), timestamptz '-infinity'), 0"
_NEWEST_FIRST: Final = "i.at DESC, i.id DESC"
_MATCHES: Final = """
    (CAST(:who AS text) IS NULL OR c.who = :who)
    AND (CAST(:did AS text) IS NULL OR c.did = :did)
    AND (CAST(:operator AS text) IS NULL OR c.operator = :operator)"""


def _walk(column: str | None) -> str:
    """Return the end of a statement that walks the index of *column* backwards.

    As whole rows with the column in the order: no other index has that order, so the planner takes
    none, whatever it knows about the table.
    """
    first, value, order = "", "", ""
    if column is not None:
        first, value, order = f"i.{column}, ", f":{column}, ", f"i.{column} DESC, "
    partial = "AND i.operator IS NOT NULL" if column == "operator" else ""
    return f"""
         WHERE ({first}i.at, i.id) < ({value}{_UPPER})
           AND ({first}i.at, i.id) >= ({value}{_LOWER}) {partial}
         ORDER BY {order}{_NEWEST_FIRST} LIMIT :examined"""


_OF_TICKET: Final = f"""
         WHERE i.ticket = ANY(ARRAY(
               SELECT t.id FROM operator o
                 JOIN ticket t ON t.operator = o.id AND t.ticket_id = :ticket_id))
           AND (i.at, i.id) < ({_UPPER}) AND (i.at, i.id) >= ({_LOWER})
         ORDER BY {_NEWEST_FIRST} LIMIT :examined"""  # noqa: S608 - constants
_WALKS: Final[Mapping[str, str]] = {
    "everything": _walk(None),
    "who": _walk("who"),
    "did": _walk("did"),
    "operator": _walk("operator"),
    "ticket_id": _OF_TICKET,  # by `intervention_ticket`: a ticket has few
}
PAGES: Final = {
    name: text(f"""
      WITH candidate AS MATERIALIZED (
        SELECT i.id, i.at, i.who, i.did, i.operator FROM intervention i {walk}),
      seen AS (SELECT count(*) AS examined FROM candidate),
      last AS (SELECT at, id FROM candidate ORDER BY at, id LIMIT 1),
      matching AS MATERIALIZED (
        SELECT c.id FROM candidate c WHERE {_MATCHES}
         ORDER BY c.at DESC, c.id DESC LIMIT :limit)
    SELECT i.id, i.at, i.who, i.why, i.did, i.facts, t.ticket_id,
           coalesce(i.operator, o.code) AS operator,
           seen.examined, last.at AS last_at, last.id AS last_id
      FROM seen
      LEFT JOIN last ON true
      LEFT JOIN (matching m JOIN intervention i ON i.id = m.id) ON true
      LEFT JOIN ticket t ON t.id = i.ticket
      LEFT JOIN operator o ON o.id = t.operator
     ORDER BY {_NEWEST_FIRST}""")  # noqa: S608 - constants
    for name, walk in _WALKS.items()
}
PROBES: Final[Mapping[str, TextClause]] = {
    name: text(f"SELECT count(*) FROM (SELECT FROM intervention i {_WALKS[name]}) AS met")  # noqa: S608 - constants
    for name in ("who", "did", "operator")
}
NEWEST: Final = text("SELECT max(id) FROM intervention")


class ActPlace(NamedTuple):
    """A place in the log: after the act of this time and id, on the way to older ones."""

    at: AwareDatetime
    id: Annotated[int, Ge(0), Le(_ID_MAX)]


@dataclass(frozen=True, slots=True)
class ActFilter:
    """Selects acts: all that match every value given."""

    who: str | None = None
    did: str | None = None
    operator: str | None = None
    ticket_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> Sequence[str]:
        """Return the names of the conditions that have an index, and are given."""
        given = {"who": self.who, "did": self.did, "operator": self.operator}
        return [name for name, wanted in given.items() if wanted is not None]


@dataclass(frozen=True, slots=True)
class RecordedAct:
    """What a person did. *ticket_id* is None too if the ticket has been removed since then."""

    id: int
    at: datetime
    who: str
    why: str
    did: str
    operator: str | None
    ticket_id: str | None
    facts: Mapping[str, Any]

    @property
    def title(self) -> str:
        """What was done, in a few words."""
        return act_title(self.did)

    @property
    def sentence(self) -> str:
        """What was done, with the facts that matter."""
        return act_sentence(self.did, self.facts)


@dataclass(frozen=True, slots=True)
class ActPage:
    """A page of the log. *next*: where the next page begins; None: this is the last one."""

    acts: Sequence[RecordedAct]
    next: ActPlace | None
    examined: int


def list_acts(
    connection: Connection, chosen: ActFilter, *, after: ActPlace | None = None, limit: int
) -> ActPage:
    """Return the next acts that match, newest first, at most *limit*."""
    parameters = {
        "who": chosen.who,
        "did": chosen.did,
        "operator": chosen.operator,
        "ticket_id": chosen.ticket_id,
        "since": chosen.since,
        "upper_at": chosen.until if after is None else after.at,
        "upper_id": _ID_MAX if after is None else after.id,
        "limit": limit + 1,
        "examined": EXAMINED_MAX,
    }
    statement = PAGES[_driving(connection, chosen, parameters)]
    rows = connection.execute(statement, parameters).all()
    acts = [_act(row) for row in rows if row.id is not None]
    examined: int = rows[0].examined
    if len(acts) > limit:
        end = acts[limit - 1]
        return ActPage(acts[:limit], ActPlace(end.at, end.id), examined)
    more = examined == EXAMINED_MAX
    place = ActPlace(rows[0].last_at, rows[0].last_id) if more else None
    return ActPage(acts, place, examined)


def newest_act(connection: Connection) -> int | None:
    """Return the id of the newest act of all, to see that there is another one."""
    newest: int | None = connection.execute(NEWEST).scalar_one()
    return newest


def _driving(connection: Connection, chosen: ActFilter, parameters: Mapping[str, Any]) -> str:
    """Return the condition to walk by: the one that fewest rows meet."""
    if chosen.ticket_id is not None:
        return "ticket_id"
    given = chosen.conditions()
    if len(given) <= 1:
        return given[0] if given else "everything"
    bounded = {**parameters, "examined": _PROBED_MAX}
    counts = {name: connection.execute(PROBES[name], bounded).scalar_one() for name in given}
    return min(given, key=counts.__getitem__)


def _act(row: Any) -> RecordedAct:  # noqa: ANN401 - SQLAlchemy's row
    return RecordedAct(
        id=row.id,
        at=row.at,
        who=row.who,
        why=row.why,
        did=row.did,
        operator=row.operator,
        ticket_id=row.ticket_id,
        facts=row.facts if isinstance(row.facts, dict) else {"facts": row.facts},
    )
