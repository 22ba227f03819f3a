"""Claims within all limits: those a partner has over all deliverers, and this process' places."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from sqlalchemy import Connection

from models.outbox.admission import InFlightCount, LockedCircuits, lock_circuits, store_in_flight
from models.outbox.circuit import create_circuits
from models.outbox.claim import claim, claim_probes
from models.outbox.rate_limit import Quota
from models.outbox.values import Claim, Partner
from models.settings.settings import Settings
from worker.delivery.lanes import Lanes, share

_SHARE_LEAST: Final = 8  # places; less for each is not worth locking more gates
_STARTING_MAX: Final = timedelta(seconds=2)  # from the claim until the last of its calls goes out
_BUSY_PAUSE: Final = timedelta(seconds=0.02)  # a claim takes a few milliseconds
_RATE_PAUSE: Final = timedelta(seconds=0.1)  # gathers what the rate lets through
_WORTH_WAITING: Final = timedelta(seconds=1)  # the schedule's next hint comes as soon


@dataclass(frozen=True, slots=True)
class Passed:
    """What was claimed. *again_in*: look again then, more could go; None: nothing is held back.

    *filled*: a partner got all that there was room for, so it may be owed more.
    """

    claims: Sequence[Claim]
    filled: bool
    again_in: timedelta | None
    counts: Mapping[int, int]  # what was written down, by operator
    partners: Collection[int]  # each of them has its circuit


@dataclass(frozen=True, slots=True)
class _PublishedInFlight:
    """What the other deliverers were told of our calls at a partner."""

    calls: int
    at: float  # monotonic


class Admission:
    """Claims for one process. For one thread."""

    def __init__(self, settings: Settings, monotonic: Callable[[], float]) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._deliverer = uuid4().hex[:12]
        self._counts_for = settings.partner_timeout + _STARTING_MAX
        self._told: dict[int, _PublishedInFlight] = {}
        self._met: set[int] = set()  # partners that have a circuit
        self._last = 0
        self.lanes = Lanes()

    @property
    def has_news(self) -> bool:
        """The other deliverers do not know what is in flight here."""
        calls = self.lanes.calls
        return any(self._is_news(one, calls[one]) for one in {*calls, *self._told})

    def has_room(self, partners: Iterable[Partner]) -> bool:
        """One of *partners* may have more calls in flight than it has here."""
        return any(one.in_flight > self.lanes.calls[one.id] for one in partners)

    def claim(
        self, connection: Connection, partners: Sequence[Partner], *, places: int, now: datetime
    ) -> Passed:
        """Claim up to *places* due notices, and write down what will be in flight then.

        What is in flight counts until the partner timeout is over: a process that dies takes no
        place longer than that. Give the result to `keep` once it is committed.
        """
        ids = [one.id for one in partners]
        if not self._met.issuperset(ids):
            create_circuits(connection, ids)
        gates = lock_circuits(
            connection,
            deliverer=self._deliverer,
            operators=self._in_turn(partners) if places else (),
            operators_max=max(1, places // _SHARE_LEAST),
            now=now,
            create_age_max=self._settings.create_age_max,
        )
        allowances = [
            gate.quota(calls=self.lanes.calls[gate.operator], now=now) for gate in gates.limits
        ]
        free = {one.limits.operator: one for one in allowances if one.free}
        rooms = share({one: of.free for one, of in free.items()}, self.lanes.calls, places)
        claims = self._claim(connection, free, rooms, now)
        claimed = {one.limits.operator: 0 for one in allowances}
        for one in claims:
            claimed[one.operator] += 1
        counts = self._write(connection, allowances, claimed, now)
        filled = any(room and claimed[one] == room for one, room in rooms.items())
        self._last = self._last if gates.last_operator is None else gates.last_operator
        return Passed(claims, filled, _again_in(gates, allowances, claimed), counts, ids)

    def keep(self, passed: Passed) -> None:
        """What *passed* wrote down is committed."""
        self._met.update(passed.partners)
        for operator, calls in passed.counts.items():
            self._told[operator] = _PublishedInFlight(calls, self._monotonic())
            if not calls:
                del self._told[operator]

    def _in_turn(self, partners: Sequence[Partner]) -> list[int]:
        """The partners with room in their lanes; the one after the last looked at is first."""
        ids = [one.id for one in partners if one.in_flight > self.lanes.calls[one.id]]
        return [
            *(one for one in ids if one > self._last),
            *(one for one in ids if one <= self._last),
        ]

    def _claim(
        self,
        connection: Connection,
        free: Mapping[int, Quota],
        rooms: Mapping[int, int],
        now: datetime,
    ) -> list[Claim]:
        released = {one: of.limits.closed_at for one, of in free.items() if of.limits.closed_at}
        probes = {one: of.limits.probe_youngest for one, of in free.items() if of.is_probe}
        lease = self._settings.lease
        claims = claim(
            connection,
            now=now,
            lease=lease,
            room={one: room for one, room in rooms.items() if one not in probes},
            create_age_max=self._settings.create_age_max,
            released=released,
        )
        asked = {one: youngest for one, youngest in probes.items() if rooms[one]}
        return claims + claim_probes(connection, now=now, lease=lease, youngest=asked)

    def _write(
        self,
        connection: Connection,
        allowances: Sequence[Quota],
        claimed: Mapping[int, int],
        now: datetime,
    ) -> dict[int, int]:
        """Tell the others what is in flight from now on, where they do not know it."""
        rows: dict[int, InFlightCount] = {}
        for one in allowances:
            operator, count = one.limits.operator, claimed[one.limits.operator]
            calls = self.lanes.calls[operator] + count
            spent = bool(count) and (one.is_probe or one.rate is not None)
            if spent or self._is_news(operator, calls):
                probe_at = now + self._settings.lease if one.is_probe and count else None
                rows[operator] = InFlightCount(operator, calls, one.tokens_left(count), probe_at)
        for operator in {*self.lanes.calls, *self._told} - claimed.keys():
            if self._is_news(operator, self.lanes.calls[operator]):
                rows[operator] = InFlightCount(operator, self.lanes.calls[operator])
        written = store_in_flight(
            connection,
            rows.values(),
            deliverer=self._deliverer,
            now=now,
            until=now + self._counts_for,
        )
        return {operator: rows[operator].calls for operator in written}

    def _is_news(self, operator: int, calls: int) -> bool:
        """The others were told another number, or so long ago that they will forget it."""
        told = self._told.get(operator)
        if told is None:
            return calls > 0
        age = timedelta(seconds=self._monotonic() - told.at)
        return told.calls != calls or age > self._counts_for / 2


def _again_in(
    gates: LockedCircuits, allowances: Sequence[Quota], claimed: Mapping[int, int]
) -> timedelta | None:
    pauses = [
        max(pause, _RATE_PAUSE)
        for one in allowances
        if (pause := one.wait_for_next(claimed[one.limits.operator])) is not None
        and pause <= _WORTH_WAITING
    ]
    if gates.skipped:
        pauses.append(_BUSY_PAUSE)
    if gates.more and any(claimed.values()):
        pauses.append(timedelta())  # there may be more partners to look at
    return min(pauses, default=None)
