"""Events that leave out what their ticket keeps answer as whole ones do, whatever happens (rule 2).

Hypothesis chooses what publishers state, in which batches, and when a player is erased. All of it
happens to the tickets of three operators: of one, every event is stored whole, as before an upgrade
is finalized; of another, none that can leave something out; of the third, the upgrade is finalized
on the way. To repeats and conflicts, on the history's page, to who asks for an event, and in an
erasure all three answer alike.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from models.erasure.blank import blank_tickets
from models.erasure.names import PlayerName
from models.erasure.walks import Search, walk_events
from models.events.decode import read
from models.events.event import Entry, Event, Unreadable
from models.history.load import load_histories
from models.intake.batch import apply_events
from models.migrations.finalize import NEEDED, finalize
from models.triage.queries import find_events
from tests.support.harness import ADD_OPERATOR, CLOSE_DELAY, PARKING_WINDOW, SLIP
from tests.support.searches import examples

TICKETS: Final = ("T", "U")
EVENT_IDS: Final = ("e1", "e2", "e3", "e4")
ACTIONS: Final = (
    *("ticket_open", "ticket_open", "ticket_create", "ticket_reserve", "ticket_update"),
    *("ticket_win", "ticket_lost", "ticket_rollback", "ticket_discard"),
)
PLAYER: Final = PlayerName("anna")
# Alike but for one value, or to Python and not to JSON; what the details lack; what names a player.
DATA: Final[Sequence[dict[str, Any]]] = (
    {},
    {**SLIP},
    {**SLIP, "price": 501},
    {**SLIP, "player_id": "anna"},
    {"price": 500, "reason": "as agreed", "ticket_code": None, "ext_type": ""},
    {"nickname": "anna", "meta": {"a": [1, True], "b": 1e23}},
    {"nickname": "anna", "meta": {"a": [1, 1], "b": 1e23}},
    {"lottery": {"draw_id": "7"}, "currency": "EUR", "correction": True, "é": 0.1},
)
BEGIN: Final = datetime(2026, 11, 20, 10, tzinfo=UTC)
NOT_FINALIZED: Final = text("DELETE FROM finalized_upgrade")
IDS: Final = text("""
    SELECT t.ticket_id, t.id FROM ticket t JOIN operator o ON o.id = t.operator
     WHERE o.code = :code ORDER BY t.ticket_id""")
LEAVE_OUT: Final = text("""
    SELECT count(*) FROM ticket_event e JOIN operator o ON o.id = e.operator
     WHERE o.code = :code AND e.left_out IS NOT NULL""")
# What stays and what is left out have no name in common, so each can be blanked by itself.
TWICE: Final = text("""
    SELECT e.event_id FROM ticket_event e JOIN ticket t ON t.id = e.ticket
     WHERE e.left_out IS NOT NULL
       AND (e.data ?| ARRAY['operator', 'ticket_id']
            OR (e.left_out = 'details'
                AND e.data ?| ARRAY(SELECT jsonb_object_keys(t.details))))""")


@dataclass(frozen=True)
class Statement:
    """What a publisher states."""

    action: str
    ticket: str
    event_id: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Erased:
    """The moment in which what names the player of a ticket is blanked."""

    ticket: str


Act = Sequence[Statement] | Erased
STATEMENTS = st.builds(
    Statement,
    st.sampled_from(ACTIONS),
    st.sampled_from(TICKETS),
    st.sampled_from(EVENT_IDS),
    st.sampled_from(DATA),
)
ACTS = st.lists(STATEMENTS, min_size=1, max_size=3) | st.builds(Erased, st.sampled_from(TICKETS))
HISTORIES = st.lists(ACTS, min_size=1, max_size=6)


def _said(action: str, event_id: str, data: int) -> Statement:
    return Statement(f"ticket_{action}", "T", event_id, DATA[data])


# What must be among them: the details change, or are erased, after an event left them out; repeats
# of it, and the same id with other content, come before and after that, or in one batch with it.
_OPENED = _said("open", "e1", 3)
_ASKED = [_OPENED, _said("open", "e1", 2)]
CHANGED: Final[Sequence[Act]] = ([_OPENED], _ASKED, [_said("update", "e2", 2)], _ASKED)
FILLED: Final[Sequence[Act]] = ([_said("open", "e1", 5)], [_said("open", "e2", 4)], [_OPENED])
AT_ONCE: Final[Sequence[Act]] = ([_OPENED, _said("update", "e2", 2), _OPENED], _ASKED)
ERASED: Final[Sequence[Act]] = (
    *([_said("open", "e1", 5)], [_said("win", "e2", 4)], Erased("T")),
    *([_said("open", "e1", 5), _said("open", "e1", 6), _said("open", "e1", 1)],),
    *([_said("win", "e2", 4), _said("win", "e2", 1)], [_said("open", "e3", 1)]),
)


@dataclass
class Life:
    """What happens to the tickets of one operator, and all that is answered about them."""

    connection: Connection
    code: str
    answers: list[object] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def live(self, acts: Sequence[Act], *, finalized_before: int | None) -> None:
        parameters = {
            "code": self.code,
            "protocol": "pam",
            "close_delay": CLOSE_DELAY,
            "announces_tickets": False,
        }
        operator = self.connection.execute(ADD_OPERATOR, parameters).scalar_one()
        self.connection.execute(NOT_FINALIZED)
        for place, act in enumerate(acts):
            now = BEGIN + timedelta(minutes=place)
            if place == finalized_before:
                finalize(self.connection, NEEDED)
            if isinstance(act, Erased):
                self._erase(act.ticket, now)
            else:
                self._state(act, now)
        self._look_up(operator)

    def _state(self, statements: Sequence[Statement], now: datetime) -> None:
        stated = [self._event(statement, now) for statement in statements]
        events = [event for event in stated if isinstance(event, Event)]
        result = apply_events(self.connection, events, now=now, parking_window=PARKING_WINDOW)
        self.answers.append(sorted((event.event_id, str(end)) for event, end in result.ended))
        self.answers.append(
            sorted(
                (refused.event.event_id, refused.reason, self._without_code(refused.message))
                for refused in result.refused
            )
        )

    def _event(self, statement: Statement, now: datetime) -> Event | Unreadable:
        document = {
            "event_id": statement.event_id,
            "action": statement.action,
            "data": {**statement.data, "operator": self.code, "ticket_id": statement.ticket},
        }
        entry_id = f"{int(now.timestamp() * 1000)}-{next(self._numbers)}"
        return read(Entry(entry_id, {b"event": json.dumps(document).encode()}, read_at=now))

    def _erase(self, ticket: str, now: datetime) -> None:
        rows = self.connection.execute(IDS, {"code": self.code}).all()
        ids = {row.ticket_id: row.id for row in rows}
        if ticket in ids:
            blanked = blank_tickets(self.connection, [ids[ticket]], PLAYER, now=now)
            self.answers.append(dict(blanked))

    def _look_up(self, operator: int) -> None:
        for ticket in TICKETS:
            for history in load_histories(self.connection, ticket, operator=self.code):
                self.answers.append(dict(history.ticket.details))
                self.answers.extend(
                    (
                        event.event_id,
                        self._shown(event.data),
                        event.outcome,
                        event.message,
                        event.repeats,
                    )
                    for event in history.events
                )
        for event_id in EVENT_IDS:
            self.answers.extend(
                (event.ticket_id, event_id, self._shown(event.data))
                for event in find_events(self.connection, event_id, operator=self.code)
            )
        names = {id_: name for name, id_ in self.connection.execute(IDS, {"code": self.code})}
        search = Search(0, operator, self.code, PLAYER, BEGIN)
        walked = walk_events(self.connection, search, {}, limit=1000)
        self.answers.append([names[ticket] for ticket in walked.tickets])

    def _shown(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        """In its order and exactly: 1 is not true here."""
        return [(name, self._without_code(json.dumps(value))) for name, value in data.items()]

    def _without_code(self, words: str) -> str:
        return words.replace(self.code, "CODE")


def test_repeats_conflicts_pages_and_erasures_are_answered_alike(engine: Engine) -> None:
    left_out = 0

    @settings(
        max_examples=examples(45),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(HISTORIES, st.integers(1, 4))
    @example(CHANGED, 2)
    @example(CHANGED, 4)
    @example(FILLED, 1)
    @example(AT_ONCE, 1)
    @example(ERASED, 3)
    def happens(acts: Sequence[Act], later: int) -> None:
        nonlocal left_out
        with engine.connect() as connection:  # rolled back at the end
            whole, once, between = (Life(connection, code) for code in ("wwww", "oooo", "bbbb"))
            whole.live(acts, finalized_before=None)
            once.live(acts, finalized_before=0)
            between.live(acts, finalized_before=later)

            assert once.answers == whole.answers
            assert between.answers == whole.answers
            assert connection.execute(TWICE).all() == []
            assert connection.execute(LEAVE_OUT, {"code": whole.code}).scalar_one() == 0
            left_out += connection.execute(LEAVE_OUT, {"code": once.code}).scalar_one()

    happens()

    assert left_out > 5, "or nothing was shown"
