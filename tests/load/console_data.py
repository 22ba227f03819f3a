"""What the console is measured on: millions of tickets, and all that needs a person.

Of each kind of ticket one lives through the product; its rows are then copied by SQL (`copies`).
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text

from models.events.event import Entry
from models.monitoring.closings import count_closings
from models.monitoring.minutes import store_next_minute
from producers.simulation.partner import Respond, Rule, SimulatedPartner
from tests.load.copies import DIGITS, apply, copy, deliver
from tests.load.environment import OPERATOR, SECRET, BenchEnvironment, Database
from tests.load.results import say
from tests.load.wave import entry_of, present, worded

OPERATORS: Final = 8
DOWN: Final = 2  # the operator whose circuit is open; nine in ten waiting notices are its own
FEW: Final = OPERATORS  # the operator with hardly anything: it is added last
# The tickets that are copied, and the one with the longest history.
NAMES: Final = ("settled", "dead", "rejected", "superseded", "parked", "waiting", "long")
TICKET_IDS: Final = {name: str(DIGITS - 1 - number) for number, name in enumerate(NAMES)}
LONG: Final = TICKET_IDS["long"]
DAY: Final = timedelta(days=1)
PLOTTED: Final = timedelta(hours=6)
REFUSED: Final = 422
AMOUNTS: Final = {"price": 500, "stake": 450, "currency": "EUR", "ticket_code": "code-1"}
# A partner's answers to what is dead: three kinds, and one that is rare.
ANSWER: Final = """CASE WHEN n % 1000 = 0 THEN 'rare answer ' || n WHEN n % 3 = 0 THEN
    'balance too low' WHEN n % 3 = 1 THEN 'unknown player' ELSE 'session expired' END"""
HTTP_STATUS: Final = "CASE WHEN n % 1000 = 0 THEN 451 WHEN n % 3 = 0 THEN 422 ELSE 404 END"
# When the n-th copy happened: the last day, in the order of the ids.
AT: Final = "(CAST(:began AS timestamptz) - (:last - n) * CAST(:step AS interval))"
# Players have fifty tickets each; one has ten thousand.
DETAILS: Final = """one.details || jsonb_build_object(
    'player_id', CASE WHEN n % 1000 = 0 THEN 'player-of-many' ELSE 'player-' || n / 50 END,
    'ticket_code', 'code-' || n)"""
TICKET_TIMES: Final = {"details": DETAILS, "created_at": AT, "changed_at": AT}
SETTLED_TIMES: Final = {
    **TICKET_TIMES,
    "settled_at": AT,
    "close_due_at": f"{AT} + interval '25 hours'",
}
EVENT_TIMES: Final = {
    "event_id": "one.event_id || '-' || n",
    "order_time": AT,
    "occurred_at": AT,
    "received_at": AT,
    "decided_at": AT,
}
NOTICE_TIMES: Final = {"event_id": "one.event_id || '-' || n", "created_at": AT}
ENDED: Final = {
    **NOTICE_TIMES,
    "ended_at": AT,
    "sent_at": f"CASE WHEN one.took_ms IS NOT NULL THEN {AT} END",
}
ATTEMPT_TIMES: Final = {"recorded_at": AT, "sent_at": AT}
OF_WAITING: Final = f"CASE WHEN n % 10 = 0 THEN 1 + n % :operators ELSE {DOWN} END"

OPEN_CIRCUIT: Final = text("""
    UPDATE circuit SET opened_at = now() - interval '20 minutes', reason = 'HTTP 503',
           closed_at = NULL, probe_at = now() + interval '1 hour' WHERE operator = :operator""")
POSTPONE: Final = text("""
    UPDATE notice SET postponed_at = now() - interval '5 minutes',
           due_at = now() + interval '1 day' + (id * 7919) % 7200000 * interval '1 ms'
     WHERE operator = :operator AND head AND ended IS NULL""")
REJECTED_INPUT: Final = text("""
    INSERT INTO rejected_input (entry_id, kind, raw, whole, reason, message, operator, ticket_id,
                                event_id, received_at, rejected_at)
    SELECT n || '-1', one.kind, one.raw, one.whole, one.reason, one.message,
           CASE WHEN n % 2 = 0 THEN 'acme' END, 'lost-' || n, 'lost-event-' || n,
           now() - n * interval '0.8 s', now() - n * interval '0.8 s'
      FROM rejected_input one, generate_series(1, CAST(:count AS int)) AS n""")
INTERVENTIONS: Final = text("""
    INSERT INTO intervention (at, who, why, did, operator, ticket, facts)
    SELECT now() - n * interval '60 s',
           CASE WHEN n % 1000 = 0 THEN 'rare' ELSE 'person-' || n % 20 END,
           'asked by the partner, case ' || n,
           (ARRAY['notice_retried', 'notice_skipped', 'ticket_held', 'ticket_released'])[1 + n % 4],
           CASE WHEN n % 7 = 0 THEN 'acme-1' ELSE 'acme' END, 100000 + n, '{}'
      FROM generate_series(1, CAST(:count AS int)) AS n""")
JOBS: Final = text("""
    INSERT INTO job (kind, arguments, state, who, why, expected, done, created_at, next_at,
                     started_at, progressed_at, ended_at)
    SELECT 'dead_retry', '{"operator": "acme"}', 'done', 'person-' || n % 20, 'case ' || n, 300,
           300, at, at, at, at, at
      FROM generate_series(1, CAST(:count AS int)) AS n,
           LATERAL (SELECT now() - n * interval '1 hour' AS at) moment""")
PROGRESS: Final = text("""
    INSERT INTO plot_progress (id, minutes_since, minutes_until)
    VALUES (1, date_trunc('minute', CAST(:since AS timestamptz)),
            date_trunc('minute', CAST(:since AS timestamptz)))""")


@dataclass(frozen=True, slots=True)
class Extent:
    """How many of each."""

    settled: int
    waiting: int
    dead: int
    open: int  # rejected, parked and superseded events, and input that was rejected: each so many
    life: int  # results of the ticket with the longest history, each rolled back


FULL: Final = Extent(settled=10_000_000, waiting=1_000_000, dead=100_000, open=100_000, life=500)
QUICK: Final = Extent(settled=200_000, waiting=20_000, dead=10_000, open=5_000, life=50)


@contextmanager
def console_database(environment: BenchEnvironment, extent: Extent) -> Iterator[Database]:
    """A database with all that, for as long as the block lasts."""
    with (
        SimulatedPartner(secret=SECRET) as partner,
        environment.database("console", sink=partner.url, operators=OPERATORS + 1) as database,
    ):
        partner.behave(
            Rule(
                Respond(REFUSED, body=b'{"error": "no such player"}'), ticket_id=TICKET_IDS["dead"]
            )
        )
        _Filling(database, extent, environment.began).fill()
        yield database


@dataclass(slots=True)
class _Filling:
    """Fills a database, kind by kind."""

    database: Database
    extent: Extent
    began: datetime
    copied: int = 0

    def fill(self) -> None:
        extent = self.extent
        self._live_long()
        self._live("settled", "ticket_win")
        self._live("dead", "ticket_win")
        self._live("rejected", "ticket_win", "ticket_discard")
        self._live("superseded", "ticket_win", "ticket_lost", late=True)
        self._live("parked", "ticket_open", "ticket_rollback")
        deliver(self.database)
        self._live("waiting", "ticket_win")
        self._reject_input()
        self._copy("settled", extent.settled, SETTLED_TIMES, notice=ENDED)
        self._copy("rejected", extent.open, SETTLED_TIMES, notice=ENDED)
        self._copy("superseded", extent.open, SETTLED_TIMES, notice=ENDED)
        self._copy("parked", extent.open, TICKET_TIMES)
        dead = {"answer": ANSWER, "http_status": HTTP_STATUS}
        self._copy("dead", extent.dead, {**TICKET_TIMES, "settled_at": AT}, notice=ENDED, **dead)
        of_down = {"operator": OF_WAITING}
        waiting = {**NOTICE_TIMES, **of_down, "due_at": AT}
        self._copy("waiting", extent.waiting, {**TICKET_TIMES, **of_down}, notice=waiting)
        self._by_sql()

    def _live(self, name: str, *actions: str, late: bool = False) -> None:
        """Have a ticket live through *actions*; if *late*, the last one happened first."""
        for action in actions:
            past = late and action == actions[-1]
            apply(self.database, [_entry(TICKET_IDS[name], action, past=past)])

    def _live_long(self) -> None:
        """A ticket that is won and rolled back, over and over."""
        for _ in range(self.extent.life):
            self._live("long", "ticket_win", "ticket_rollback")
        deliver(self.database)

    def _copy(
        self,
        name: str,
        count: int,
        ticket: Mapping[str, str],
        *,
        notice: Mapping[str, str] | None = None,
        **attempt: str,
    ) -> None:
        say(f"   {count:,} tickets like {name}")
        copy(
            self.database,
            TICKET_IDS[name],
            count,
            operators=OPERATORS,
            differing=ticket,
            elsewhere={
                "ticket_event": EVENT_TIMES,
                "notice": notice or NOTICE_TIMES,
                "delivery_attempt": {**ATTEMPT_TIMES, **attempt},
            },
            given={
                "began": self.began,
                "step": DAY / count,
                "last": self.copied + count,
            },
            after=self.copied,
        )
        self.copied += count

    def _reject_input(self) -> None:
        apply(self.database, [entry_of({"event": "{"})])

    def _by_sql(self) -> None:
        """What no ticket leaves behind, and the plots, which the sweep computes."""
        with self.database.engine.begin() as connection:
            connection.execute(REJECTED_INPUT, {"count": self.extent.open})
            connection.execute(INTERVENTIONS, {"count": self.extent.open})
            connection.execute(JOBS, {"count": 1_000})
            connection.execute(OPEN_CIRCUIT, {"operator": DOWN})
            connection.execute(POSTPONE, {"operator": DOWN})
            connection.execute(PROGRESS, {"since": self.began - PLOTTED})
        self.database.tidy("VACUUM ANALYZE")
        stored = True
        while stored:
            with self.database.engine.begin() as connection:
                stored = bool(store_next_minute(connection, now=self.began))
        with self.database.engine.begin() as connection:
            count_closings(connection, now=self.began)
        self.database.tidy("CHECKPOINT")


def _entry(ticket_id: str, action: str, *, past: bool) -> Entry:
    """An event of a ticket, which happens now, or a minute ago."""
    now = present()
    data = {"operator": OPERATOR, "ticket_id": ticket_id, "player_id": "player-1", **AMOUNTS}
    event = {
        "event_id": f"{action}-{now.timestamp()}",
        "action": action,
        "occurred_at": worded(now - timedelta(minutes=1) if past else now),
        "data": data if action != "ticket_win" else data | {"gross_payout": 10_000},
    }
    return entry_of({"event": json.dumps(event)})
