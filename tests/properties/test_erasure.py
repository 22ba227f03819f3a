"""A player erased at any moment, with a death between any two steps (rule 25, promises 1 to 6).

Hypothesis chooses what publishers, deliverers, people, the clock and the erasure do. At the end all
comes to rest; then no column of any table holds the player's id, whichever columns there are, all
tickets stand as if nobody had been erased, and what was published counts no second time.

The player is named only where the rule covers it: about tickets that are known to be the player's
when the erasure begins. A ticket that first names the player later is a new one.
"""

from datetime import timedelta
from itertools import count
from typing import Any

from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
)
from sqlalchemy import Engine, text

from models.erasure import advance_erasure
from models.events.event import Entry
from models.operators.interventions import Change, Person, record_intervention
from models.outbox.dead_letters import Resolution, resolve
from models.outbox.values import Attempt, Claim, Dead, Delivered, RetryLater, Unanswered, Verdict
from models.vocabulary import ErasurePhase
from tests.support.erasing import advance, as_stored, begin, held
from tests.support.harness import CLOSE_DELAY, LEASE, PARKING_WINDOW, SLIP, TOOK, Harness
from tests.support.histories import History, run_history
from tests.support.manual_clock import ManualClock
from tests.support.records import Records

TICKETS = ("mine", "mine-too", "other")  # the last one is another player's
ACTIONS = ("ticket_create", "ticket_open", "ticket_win", "ticket_lost", "ticket_rollback")
PAUSE = timedelta(seconds=10)
DRAINED_AFTER = 400  # rounds; more mean that something never ends
DEAD = text("""
    SELECT n.id FROM notice n JOIN operator o ON o.id = n.operator
     WHERE o.code = :operator AND n.ended = 'dead' AND n.head""")
UNENDED = text("""
    SELECT count(*) FROM ticket t JOIN operator o ON o.id = t.operator
     WHERE o.code = :operator AND t.ticket_id = ANY(:tickets)
       AND (t.parked > 0 OR t.unfinished > 0
            OR (t.closed_at IS NULL AND t.cancelled_at IS NULL))""")
STANDS = text("""
    SELECT t.ticket_id, t.status, t.result, t.generation, t.settled_at, t.closed_at, t.notices
      FROM ticket t JOIN operator o ON o.id = t.operator WHERE o.code = :operator ORDER BY 1""")
# About one that was erased before anything opened it, what comes later makes a new ticket.
KEEPS_TEXT = text("""
    SELECT EXISTS (
        SELECT FROM ticket t JOIN operator o ON o.id = t.operator
         WHERE o.code = :operator AND t.ticket_id = :ticket
           AND t.erased_at IS NOT NULL AND t.status NOT IN ('closed', 'cancelled'))""")
runs = count(1)


class ErasedPlayer(History):
    """One operator, two tickets of the player and one of somebody else."""

    @initialize()
    def begin(self) -> None:
        run = next(runs)
        self.operator, self.player = f"erasing{run}", f"pl\u00e4yer-{run}-{run * 7919}x"
        self.harness = Harness(self.engine, ManualClock())
        self.harness.add_operator(self.operator)
        self.records = Records(self.engine)
        self.published: list[Entry] = []
        self.covered: set[str] = set()  # tickets with an event that names the player
        self.held: list[Claim] = []
        self.erasure: int | None = None
        self.is_done = False

    # --- publishers ------------------------------------------------------------------------------

    @rule(ticket=st.sampled_from(TICKETS), action=st.sampled_from(ACTIONS), more=st.booleans())
    def an_event_is_published(self, ticket: str, action: str, *, more: bool) -> None:
        begins_later = self.erasure is None and ticket != TICKETS[-1]
        named = self.player if begins_later or self._is_covered(ticket) else "somebody"
        data: dict[str, Any] = {"nickname": named} if more else {}
        if action in ("ticket_create", "ticket_open"):
            data |= {**SLIP, "player_id": named}
        if begins_later and data:
            self.covered.add(ticket)
        self.harness.wait(TOOK)
        entry = self.harness.event(
            action, ticket, operator=self.operator, event_id=f"e{len(self.published)}", **data
        )
        self.published.append(entry)
        self.harness.publish(entry)

    @precondition(lambda self: self.published)
    @rule(place=st.integers(0, 30))
    def an_event_is_published_again(self, place: int) -> None:
        again = self.published[place % len(self.published)]
        before = self._stands()

        self.harness.publish(self.harness.raw(again.fields[b"event"]))

        assert self._stands() == before

    @precondition(lambda self: not self.is_done)
    @rule(ticket=st.sampled_from(TICKETS))
    def something_unreadable_names_the_player(self, ticket: str) -> None:
        if self.erasure is None or self._phase() is not ErasurePhase.FINISHING:
            entry = self.harness.event(
                "ticket_wine", ticket, operator=self.operator, player_id=self.player
            )
            self.harness.publish(entry)

    # --- deliverers and people -------------------------------------------------------------------

    @rule()
    def a_deliverer_claims(self) -> None:
        self.held += self.harness.claim()

    @precondition(lambda self: self.held)
    @rule(
        place=st.integers(0, 5),
        verdict=st.sampled_from(
            (Delivered(), Delivered(), RetryLater(PAUSE), Unanswered(PAUSE), Dead("409"))
        ),
        dies=st.booleans(),
    )
    def an_outcome_is_recorded(self, place: int, verdict: Verdict, *, dies: bool) -> None:
        """However late: the claim may be long lost, its ticket closed and erased."""
        claim = self.held[place % len(self.held)]
        named = self.player if self._is_covered(claim.ticket_id) else "somebody"
        attempt = Attempt(
            claim,
            verdict,
            TOOK,
            http_status=200 if isinstance(verdict, Delivered) else 409,
            answer=f"hello {named}",
            remarks={"who": named},
        )
        with self.engine.connect() as connection:
            self.harness.record_within(connection, attempt)
            connection.rollback() if dies else connection.commit()
        if not dies:
            self.held.remove(claim)

    @rule(delivered=st.booleans())
    def a_person_resolves_what_is_dead(self, *, delivered: bool) -> None:
        with self.engine.begin() as connection:
            for notice in connection.execute(DEAD, {"operator": self.operator}).scalars():
                resolution = Resolution.SKIP_DELIVERED if delivered else Resolution.RETRY
                resolve(connection, notice, resolution, now=self.harness.now)

    @precondition(lambda self: not self.is_done)
    @rule()
    def a_person_writes_about_the_player(self) -> None:
        if self.erasure is not None and self._phase() is ErasurePhase.FINISHING:
            return
        change = Change("looked_at", self.operator, facts={"player": self.player})
        with self.engine.begin() as connection:
            person = Person("bert", f"{self.player} phoned")
            record_intervention(connection, change, person=person, at=self.harness.now)

    # --- the clock -------------------------------------------------------------------------------

    @rule(by=st.sampled_from((PAUSE, LEASE, PARKING_WINDOW, CLOSE_DELAY)))
    def time_passes(self, by: timedelta) -> None:
        self.harness.wait(by)
        self._sweep()

    @precondition(lambda self: self.published)
    @rule()
    def all_tickets_end(self) -> None:
        """What is claimed stays claimed: its outcome may still be recorded."""
        self._bring_to_rest()

    # --- the erasure -----------------------------------------------------------------------------

    @precondition(lambda self: self.erasure is None)
    @rule()
    def a_person_erases_the_player(self) -> None:
        self.erasure = begin(self.harness, self.player, operator=self.operator)

    @precondition(lambda self: self.erasure is not None and not self.is_done)
    @rule(limit=st.sampled_from((1, 2, 100)), dies=st.booleans())
    def the_erasure_does_a_batch(self, limit: int, *, dies: bool) -> None:
        before = self._stands()
        with self.engine.connect() as connection:
            step = advance_erasure(connection, self.erasure or 0, now=self.harness.now, limit=limit)
            connection.rollback() if dies else connection.commit()
        self.is_done = not dies and step.phase is ErasurePhase.DONE

        assert self._stands() == before

    # --- what always holds -----------------------------------------------------------------------

    @invariant()
    def the_database_is_whole(self) -> None:
        if hasattr(self, "records"):
            self.records.check()

    def teardown(self) -> None:
        if not hasattr(self, "records"):
            return
        if self.erasure is None:
            self.a_person_erases_the_player()
        self._bring_to_rest()
        stands = self._stands()

        assert self.erasure is not None
        assert advance(self.harness, self.erasure).phase is ErasurePhase.DONE
        assert held(self.engine, self.player) == {}
        while self.held:
            self.an_outcome_is_recorded(0, Unanswered(PAUSE), dies=False)
        for row in stands:
            note = self.player if self._is_covered(row.ticket_id) else "nobody"
            self.harness.say("ticket_rollback", row.ticket_id, operator=self.operator, note=note)
        for entry in self.published:
            applied = self.harness.publish(self.harness.raw(entry.fields[b"event"]))
            assert {outcome for _, outcome in applied.outcomes} == {"duplicate"}
        assert self._stands() == stands
        assert held(self.engine, self.player) == {}
        assert as_stored(self.engine, self.erasure).ended_at is not None

    def _bring_to_rest(self) -> None:
        """End the tickets that exist: a result for each, everything taken, the delay over."""
        for _ in range(DRAINED_AFTER):
            self.harness.wait(CLOSE_DELAY)
            self._sweep()
            with self.engine.begin() as connection:
                for notice in connection.execute(DEAD, {"operator": self.operator}).scalars():
                    resolve(connection, notice, Resolution.SKIP_DELIVERED, now=self.harness.now)
            self.harness.deliver()
            if self._unended() == 0:
                return
            for ticket in TICKETS:
                if self._is_known(ticket):
                    self.harness.say("ticket_win", ticket, operator=self.operator)
        raise AssertionError("the tickets never end")

    def _sweep(self) -> None:
        self.harness.abandon_creates()
        self.harness.end_windows()
        self.harness.close_due()

    def _unended(self) -> int:
        parameters = {"operator": self.operator, "tickets": list(TICKETS)}
        with self.engine.connect() as connection:
            unended: int = connection.execute(UNENDED, parameters).scalar_one()
        return unended

    def _stands(self) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(STANDS, {"operator": self.operator}).all())

    def _is_known(self, ticket: str) -> bool:
        return any(row.ticket_id == ticket for row in self._stands())

    def _is_covered(self, ticket: str) -> bool:
        """Whether the erasure covers what names the player about *ticket* from now on."""
        if ticket not in self.covered:
            return False
        with self.engine.connect() as connection:
            parameters = {"operator": self.operator, "ticket": ticket}
            return not connection.execute(KEEPS_TEXT, parameters).scalar_one()

    def _phase(self) -> ErasurePhase:
        return as_stored(self.engine, self.erasure or 0).phase


def test_whenever_a_player_is_erased_nothing_names_him_and_all_else_is_as_it_was(
    engine: Engine,
) -> None:
    # Shrinking does not pay: it takes minutes, and the steps that failed are printed.
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    run_history(ErasedPlayer, engine, examples=40, steps=30, phases=phases)
