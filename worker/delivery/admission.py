"""Claims due notices within all limits: each partner's over all deliverers, and this process's own.

A partner that hangs takes no place from another: the places of the process are shared fairly.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from sqlalchemy import Connection

from models.database.engine import Transaction
from models.database.round_trip import AskedTime, RoundTrip
from models.outbox.admission import InFlightCount, LockedCircuits, lock_circuits, store_in_flight
from models.outbox.circuit import create_circuits
from models.outbox.claim import LeaseTerms, claim, claim_probes
from models.outbox.rate_limit import Quota
from models.outbox.values import Claim, Partner
from models.platform.clock import Clock
from models.settings.settings import Settings

_SHARE_MIN: Final = 8  # places; for fewer to each it is not worth locking more circuits
_STARTING_MAX: Final = timedelta(seconds=2)  # from the claim until the last of its calls starts
_BUSY_PAUSE: Final = timedelta(seconds=0.02)  # another deliverer's claim takes a few milliseconds
_RATE_PAUSE: Final = timedelta(seconds=0.1)  # gathers what the rate allows
_WAIT_MAX: Final = timedelta(seconds=1)  # the next scheduled wakeup comes as soon


@dataclass(frozen=True, slots=True)
class Admitted:
    """What was claimed. *again_in*: more may be claimed then; None if nothing is held back.

    *full*: a partner got all that there was room for, so more may be due to it.
    """

    claims: Sequence[Claim] = ()
    full: bool = True
    again_in: timedelta | None = None
    send_by: float = 0.0  # monotonic: the part of the lease that a call may take begins then
    counts: Mapping[int, int] = field(default_factory=dict)  # calls that were published
    partners: Collection[int] = ()  # each of them has a circuit


NOTHING_ADMITTED: Final = Admitted()


@dataclass(frozen=True, slots=True)
class _PublishedInFlight:
    """What the other deliverers know of our calls at a partner."""

    calls: int
    at: float  # monotonic


class Admission:
    """Claims for one process. For one thread."""

    def __init__(
        self,
        *,
        transaction: Transaction,
        clock: Clock,
        settings: Settings,
        monotonic: Callable[[], float],
    ) -> None:
        self._transaction = transaction
        self._clock = clock
        self._settings = settings
        self._monotonic = monotonic
        self._deliverer = uuid4().hex[:12]
        self._lease = LeaseTerms(settings.partner_timeout, settings.lease_margin)
        self._timeouts: dict[int, timedelta] = {}  # of the partners that have one of their own
        self._counts_for = settings.partner_timeout + _STARTING_MAX
        self._published: dict[int, _PublishedInFlight] = {}
        self._have_circuit: set[int] = set()  # partners
        self._last = 0  # the operator whose circuit was checked last; the next one comes first
        self.in_flight = CallsInFlight()

    def claim(
        self,
        places: int,
        *,
        partners: Sequence[Partner],
        refresh: Callable[[Connection, datetime], Sequence[Partner]] | None = None,
    ) -> Admitted:
        """Claim up to *places* due notices of *partners*, in a transaction of its own.

        *refresh* reads the partners again in the same transaction, if they may have changed.
        Without a place, or room for a call at any partner, this only publishes what is in flight
        here, and if that is known, it does nothing. Raises errors of the database.
        """
        may_claim = places > 0 and (refresh is not None or self._has_room(partners))
        if not may_claim and not self._has_unpublished:
            return NOTHING_ADMITTED
        began_at = self._monotonic()
        with self._transaction() as connection:
            if refresh is not None:
                partners = refresh(connection, self._clock.now(connection))
            admitted = self.claim_within(
                connection, partners, places=places, began_at=began_at, commit=True
            )
        self._commit(admitted)
        return admitted

    def claim_within(
        self,
        connection: Connection,
        partners: Sequence[Partner],
        *,
        places: int,
        now: datetime | None = None,
        began_at: float = 0.0,
        commit: bool = False,
    ) -> Admitted:
        """Claim in the caller's transaction, and publish what will be in flight then.

        What is in flight counts until the partner timeout is over, so a process that dies holds its
        places no longer than that. *now*: if it is not the clock's time. *commit*: end the
        transaction with the last statement.
        """
        ids = self._take_timeouts(partners)
        if not self._have_circuit.issuperset(ids):
            create_circuits(connection, ids)
        trip = RoundTrip(connection)
        time = AskedTime.of(self._clock, trip) if now is None else AskedTime(now)
        circuits = self._lock(trip, partners, places=places, now=time)
        now = time.read()
        quotas = [
            limits.quota(calls=self.in_flight.calls[limits.operator], now=now)
            for limits in circuits.limits
        ]
        free = {quota.limits.operator: quota for quota in quotas if quota.free}
        rooms = fair_share(
            {operator: quota.free for operator, quota in free.items()},
            self.in_flight.calls,
            places,
        )
        claims = self._claim(connection, free, rooms, now)
        claimed = {quota.limits.operator: 0 for quota in quotas}
        for claimed_notice in claims:
            claimed[claimed_notice.operator] += 1
        counts = self._publish(trip, quotas, claimed, now, commit=commit)
        self._last = self._last if circuits.last_operator is None else circuits.last_operator
        return Admitted(
            claims=claims,
            full=any(room and claimed[operator] == room for operator, room in rooms.items()),
            again_in=_again_in(circuits, quotas, claimed),
            # A lease counts from before the claim.
            send_by=began_at + (self._settings.lease - self._settings.call_needs).total_seconds(),
            counts=counts,
            partners=ids,
        )

    def _lock(
        self, trip: RoundTrip, partners: Sequence[Partner], *, places: int, now: AskedTime
    ) -> LockedCircuits:
        return lock_circuits(
            trip,
            deliverer=self._deliverer,
            operators=self._in_turn(partners) if places else (),
            operators_max=max(1, places // _SHARE_MIN),
            now=now,
            create_age_max=self._settings.create_age_max,
        )

    @property
    def _has_unpublished(self) -> bool:
        """Whether the other deliverers do not know what is in flight here."""
        calls = self.in_flight.calls
        return any(
            self._is_unpublished(operator, calls[operator])
            for operator in {*calls, *self._published}
        )

    def _has_room(self, partners: Iterable[Partner]) -> bool:
        """Return whether one of *partners* may have more calls in flight than it has here."""
        calls = self.in_flight.calls
        return any(partner.in_flight > calls[partner.id] for partner in partners)

    def _commit(self, admitted: Admitted) -> None:
        """Note what *admitted* published: it is committed."""
        self._have_circuit.update(admitted.partners)
        for operator, calls in admitted.counts.items():
            self._published[operator] = _PublishedInFlight(calls, self._monotonic())
            if not calls:
                del self._published[operator]

    def _in_turn(self, partners: Sequence[Partner]) -> list[int]:
        """Return the partners with room, beginning after the one that was checked last."""
        calls = self.in_flight.calls
        ids = [partner.id for partner in partners if partner.in_flight > calls[partner.id]]
        return [
            *(operator for operator in ids if operator > self._last),
            *(operator for operator in ids if operator <= self._last),
        ]

    def _claim(
        self,
        connection: Connection,
        free: Mapping[int, Quota],
        rooms: Mapping[int, int],
        now: datetime,
    ) -> list[Claim]:
        released = {
            operator: quota.limits.closed_at
            for operator, quota in free.items()
            if quota.limits.closed_at
        }
        probes = {
            operator: quota.limits.probe_youngest
            for operator, quota in free.items()
            if quota.is_probe and rooms[operator]
        }
        lease = self._lease
        claims = claim(
            connection,
            now=now,
            lease=lease,
            room={
                operator: room for operator, room in rooms.items() if not free[operator].is_probe
            },
            create_age_max=self._settings.create_age_max,
            released=released,
        )
        return claims + claim_probes(connection, now=now, lease=lease, youngest=probes)

    def _publish(
        self,
        trip: RoundTrip,
        quotas: Sequence[Quota],
        claimed: Mapping[int, int],
        now: datetime,
        *,
        commit: bool,
    ) -> dict[int, int]:
        """Store for the other deliverers what is in flight from now on, where they do not know it.

        Returns what was stored, by operator.
        """
        rows: dict[int, InFlightCount] = {}
        for quota in quotas:
            operator, count = quota.limits.operator, claimed[quota.limits.operator]
            calls = self.in_flight.calls[operator] + count
            spent = bool(count) and (quota.is_probe or quota.rate is not None)
            if spent or self._is_unpublished(operator, calls):
                probe_at = now + self._lease_of(operator) if quota.is_probe and count else None
                rows[operator] = InFlightCount(operator, calls, quota.tokens_left(count), probe_at)
        for operator in {*self.in_flight.calls, *self._published} - claimed.keys():
            if self._is_unpublished(operator, self.in_flight.calls[operator]):
                rows[operator] = InFlightCount(operator, self.in_flight.calls[operator])
        written = store_in_flight(
            trip,
            rows.values(),
            deliverer=self._deliverer,
            now=now,
            until=now + self._counts_for,
            commit=commit,
        )
        return {operator: rows[operator].calls for operator in written}

    def _take_timeouts(self, partners: Sequence[Partner]) -> list[int]:
        """Note the partners' own timeouts, and count calls in flight for the longest of all.

        Returns the partners' ids.
        """
        self._timeouts = {
            partner.id: partner.timeout for partner in partners if partner.timeout is not None
        }
        longest = max((self._settings.partner_timeout, *self._timeouts.values()))
        self._counts_for = longest + _STARTING_MAX
        return [partner.id for partner in partners]

    def _lease_of(self, operator: int) -> timedelta:
        return self._timeouts.get(operator, self._lease.timeout) + self._lease.margin

    def _is_unpublished(self, operator: int, calls: int) -> bool:
        """Return whether the others know another number, or will soon forget this one."""
        published = self._published.get(operator)
        if published is None:
            return calls > 0
        age = timedelta(seconds=self._monotonic() - published.at)
        return published.calls != calls or age > self._counts_for / 2


def _again_in(
    circuits: LockedCircuits, quotas: Sequence[Quota], claimed: Mapping[int, int]
) -> timedelta | None:
    pauses = [
        max(pause, _RATE_PAUSE)
        for quota in quotas
        if (pause := quota.wait_for_next(claimed[quota.limits.operator])) is not None
        and pause <= _WAIT_MAX
    ]
    if circuits.skipped:
        pauses.append(_BUSY_PAUSE)
    if circuits.more and any(claimed.values()):
        pauses.append(timedelta())  # there may be more partners to check
    return min(pauses, default=None)


class CallsInFlight:
    """Counts the calls in flight of each partner."""

    def __init__(self) -> None:
        self._calls: Counter[int] = Counter()

    @property
    def calls(self) -> Mapping[int, int]:
        """Calls in flight by operator; 0 for those without any."""
        return self._calls

    def started(self, operator: int) -> None:
        """Count one more call."""
        self._calls[operator] += 1

    def ended(self, operator: int) -> None:
        """Count one call less."""
        self._calls[operator] -= 1
        if not self._calls[operator]:
            del self._calls[operator]


def fair_share(wanted: Mapping[int, int], held: Mapping[int, int], places: int) -> dict[int, int]:
    """Share *places* among partners. *held*: calls that each partner has in flight already.

    No partner gets more than wanted, and none comes to have more than is left free after all got
    theirs. So there is always a share for the next partner, however many of the others hang. The
    price is that a partner on its own gets half of the places. Where there is less than one place
    for each, the first ones of *wanted* that have none get one.
    """
    level = _level(wanted, held, places)
    rooms = {
        operator: min(count, max(0, level - held[operator])) for operator, count in wanted.items()
    }
    left = places - sum(rooms.values())
    if not level:
        for operator in [other for other in wanted if wanted[other] and not held[other]][:left]:
            rooms[operator] = 1
    return rooms


def _level(wanted: Mapping[int, int], held: Mapping[int, int], places: int) -> int:
    """Return the most that a partner may have: with one more, less than that would be left free."""

    def fits(level: int) -> bool:
        taken = sum(
            min(count, max(0, level - held[operator])) for operator, count in wanted.items()
        )
        return taken + level <= places + 1

    low, high = 0, places + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
