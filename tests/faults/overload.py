"""Three times what the workers take, for minutes: memory flat, back-pressure visible, recovery.

    python -m tests.faults.overload --minutes 10
    python -m tests.faults.overload --minutes 1        # for a look

The rate of the workers is measured first, on the same events. Redis is given room for a part of
the flood only. Prints tables in Markdown; the exit code is 1 if a check fails.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import text

from tests.faults.flood import Flood
from tests.faults.overload_environment import LONG, OverloadStack, Watch, overload_stack
from tests.faults.resident_memory import MEBIBYTE, Residents, looked_at
from tests.support.wait import pause

TIMES = 3  # what the workers take
SAMPLE = 12_000  # events by which their rate is measured
ENTRY_BYTES = 300  # of Redis' memory, roughly
FULL_AFTER = 0.1  # of the time, or soon after
ROOM_BYTES_LEAST = 12 * 1024 * 1024
POLL_SECONDS = 1.0
SETTLED = 1 / 3  # of the time: what a process needs is allocated by then
GROWTH, GROWTH_MIB = 1.1, 16.0  # that still counts as flat
# Flower is not ours, and keeps what it saw of 2,000 tasks: it must stay within its pod's limit.
FLOWER, FLOWER_MIB_MAX = "flower", 256.0
POSTGRES, VACUUM_MIB = "PostgreSQL", 3 * 64.0  # workers that come and go, by its settings
VALKEY, OVERHEAD = "Valkey", 1.5  # its limit is for data: fragments and buffers come on top
OVERTAKEN_SECONDS_MAX = 10.0
AFTERWARDS_SECONDS_MAX = 5.0  # from the publisher to the partner, when all is over
AFTERWARDS = 500  # events
EVENTS = text("SELECT count(*), count(*) FILTER (WHERE outcome = 'applied') FROM ticket_event")
# By how much one that came later was before one that came earlier, at the most.
EVENTS_OVERTAKEN = text("""
    SELECT coalesce(max(extract(epoch FROM newest - received_at)), 0)
      FROM (SELECT received_at, max(received_at) OVER (ORDER BY arrival) AS newest
              FROM ticket_event) one""")
NOTICES_OVERTAKEN = text("""
    SELECT coalesce(max(extract(epoch FROM newest - created_at)), 0)
      FROM (SELECT created_at, max(created_at) OVER (ORDER BY ended_at, created_at) AS newest
              FROM notice WHERE ended = 'delivered') one""")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a trial gave."""

    seconds: float  # of flood
    rate: float  # events a second that the workers take
    flood: Flood
    applied_meanwhile: int
    events: int  # in the log at the end
    applied: int
    watch: Watch
    residents: Residents
    recovered: float  # seconds after the flood
    afterwards: float  # seconds that a group of events took then
    events_overtaken: float
    notices_overtaken: float
    codes: dict[str, int]
    redis_mib: float  # that it was given


def main() -> int:
    """Flood, observe, check, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="of flood")
    given = parser.parse_args()
    outcome = perform(seconds=given.minutes * 60)
    checks = list(checked(outcome))
    _say("\n".join(report_lines(outcome, checks)))
    return 0 if all(good for _, good in checks) else 1


def perform(*, seconds: float) -> Outcome:
    """Run the trial."""
    with overload_stack() as stack:
        stack.published(AFTERWARDS)  # connections, prepared statements
        rate = SAMPLE / stack.published(SAMPLE)
        _say(f"the workers take {rate:,.0f} events/s; {TIMES * rate:,.0f} are wanted from now on")
        before, _ = counted(stack)
        room = max(ROOM_BYTES_LEAST, rate * seconds * FULL_AFTER * ENTRY_BYTES)
        limit = int(stack.redis.info("memory")["used_memory"] + room)
        stack.redis.config_set("maxmemory", limit)
        watch = Watch()
        with looked_at(stack.pids()) as residents:
            with stack.flood.running(TIMES * rate):
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    stack.look(watch)
                    pause(POLL_SECONDS)
                meanwhile, _ = counted(stack)
            recovered = recover(stack, watch)
            afterwards = stack.published(AFTERWARDS)
        events, applied = counted(stack)
        with stack.engine.begin() as connection:
            overtaken = [
                float(connection.execute(question).scalar_one())
                for question in (EVENTS_OVERTAKEN, NOTICES_OVERTAKEN)
            ]
        return Outcome(
            seconds=seconds,
            rate=rate,
            flood=stack.flood,
            applied_meanwhile=meanwhile - before,
            events=events - before - AFTERWARDS,
            applied=applied - before - AFTERWARDS,
            watch=watch,
            residents=residents,
            recovered=recovered,
            afterwards=afterwards,
            events_overtaken=overtaken[0],
            notices_overtaken=overtaken[1],
            codes=stack.stop(),
            redis_mib=limit / MEBIBYTE / MEBIBYTE,
        )


def recover(stack: OverloadStack, watch: Watch) -> float:
    """Wait until all that was accepted is applied and delivered; the seconds it took."""
    began = time.monotonic()
    while not stack.is_done():
        if time.monotonic() - began > LONG.total_seconds():
            raise TimeoutError(f"not recovered within {LONG}")
        stack.look(watch)
        pause(POLL_SECONDS)
    return time.monotonic() - began


def counted(stack: OverloadStack) -> tuple[int, int]:
    """Events in the log, and how many of them were applied."""
    with stack.engine.begin() as connection:
        all_, applied = connection.execute(EVENTS).one()
    return all_, applied


def checked(outcome: Outcome) -> Iterator[tuple[str, bool]]:
    """Each check in words, and whether it holds."""
    flood, watch, residents = outcome.flood, outcome.watch, outcome.residents
    for name in residents.seen:
        settled = residents.most(name, until=outcome.seconds * SETTLED)
        most = residents.most(name, since=outcome.seconds * SETTLED)
        flat = settled * GROWTH + GROWTH_MIB
        bound = {
            FLOWER: FLOWER_MIB_MAX,
            POSTGRES: flat + VACUUM_MIB,
            VALKEY: outcome.redis_mib * OVERHEAD + GROWTH_MIB,
        }.get(name, flat)
        yield f"memory of {name} stays below {bound:,.0f} MiB", most <= bound
    yield "the exporter shows the lag", watch.unread > outcome.rate and watch.waited > 1
    gateway = sum(flood.refusals[f"gateway: {status}"] for status in (429, 503))
    yield (
        "the gateway says 503 or 429, and nothing else but 202",
        gateway > 0
        and gateway
        == sum(count for message, count in flood.refusals.items() if message.startswith("gateway")),
    )
    yield "the publisher says RedisFull", flood.refusals["publisher: RedisFull"] > 0
    yield (
        "all that was accepted is applied, once",
        (outcome.events == outcome.applied == flood.accepted.total()),
    )
    yield "the oldest entry only moved on", watch.oldest == sorted(watch.oldest)
    for what, seconds in (
        ("event", outcome.events_overtaken),
        ("notice", outcome.notices_overtaken),
    ):
        words = f"oldest first: no {what} before one {OVERTAKEN_SECONDS_MAX:.0f} s older"
        yield words, seconds <= OVERTAKEN_SECONDS_MAX
    yield "afterwards as before", outcome.afterwards <= AFTERWARDS_SECONDS_MAX
    yield "every process lives, and ends well", set(outcome.codes.values()) <= {0, -15}


def report_lines(outcome: Outcome, checks: list[tuple[str, bool]]) -> Iterator[str]:
    """Format it as Markdown."""
    flood, seconds = outcome.flood, outcome.seconds
    yield f"| {seconds / 60:g} minutes | |"
    yield "|---|---|"
    yield f"| the workers take, measured before | {outcome.rate:,.0f} events/s |"
    yield f"| wanted | {flood.wanted.total() / seconds:,.0f} events/s |"
    for way, count in flood.accepted.items():
        yield f"| accepted, by {way} | {count:,} |"
    for message, count in sorted(flood.refusals.items()):
        yield f"| refused calls, {message} | {count:,} |"
    yield f"| applied meanwhile | {outcome.applied_meanwhile / seconds:,.0f} events/s |"
    yield f"| unread entries shown, at the most | {outcome.watch.unread:,.0f} |"
    yield f"| oldest entry shown, at the most | {outcome.watch.waited:,.1f} s |"
    yield f"| everything applied and delivered after | {outcome.recovered:,.1f} s |"
    overtaken = f"{outcome.events_overtaken:.1f} s, {outcome.notices_overtaken:.1f} s"
    yield f"| overtaken at the most: events, notices | {overtaken} |"
    yield f"| {AFTERWARDS} events afterwards, applied and delivered | {outcome.afterwards:.1f} s |"
    yield ""
    yield from remembered(outcome)
    yield ""
    yield from (f"{'✓' if good else '✗'} {words}" for words, good in checks)


def remembered(outcome: Outcome) -> Iterator[str]:
    """What each process held."""
    residents, settled = outcome.residents, outcome.seconds * SETTLED
    yield "| memory, MiB | first | most of the first third | most | last |"
    yield "|---|---|---|---|---|"
    for name in residents.seen:
        sizes = (
            residents.first(name),
            residents.most(name, until=settled),
            residents.most(name),
            residents.last(name),
        )
        yield f"| {name} | {' | '.join(f'{size:,.0f}' for size in sizes)} |"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command's output


if __name__ == "__main__":
    sys.exit(main())
