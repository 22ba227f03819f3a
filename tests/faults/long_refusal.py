"""A Redis that refuses writes for long: descriptors, memory, what callers hear, how it ends.

    python -m tests.faults.long_refusal --minutes 10    # READONLY, then as long NOREPLICAS

To all processes of the Procfile. Someone calls gateway, console and Flower once a second meanwhile.
Prints tables in Markdown; the exit code is 1 if a check fails.
"""

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from models.platform.backoff import SERVER_PAUSES
from tests.faults.overload import GROWTH, GROWTH_MIB
from tests.faults.overload_environment import GROUP, OverloadStack, overload_stack
from tests.faults.resident_memory import Residents, looked_at
from tests.faults.server_faults import valkey_lacks_replicas, valkey_read_only
from tests.support.wait import eventually, pause

ACTS: Final = {"READONLY": valkey_read_only, "NOREPLICAS": valkey_lacks_replicas}
RECOVERED_SECONDS_MAX: Final = 10.0
GROWN_MAX: Final = 8  # descriptors: a call that is under way when it is counted
SETTLED: Final = 1 / 3  # of the time: what a process needs is allocated by then
WORKERS: Final = ("intake", "deliver", "sweep")
LOOK_SECONDS: Final = 1.0
OVER: Final = re.compile(
    r'"event": ?"(broker_available|redis_available|scheduled_tasks_sent_again)"'
)


@dataclass(slots=True)
class Refusal:
    """What one kind of refusal gave."""

    seconds: float
    refused: int = 0  # commands, of all processes
    retries: Counter[str] = field(default_factory=Counter)  # by process, as its log has it
    descriptors: dict[str, list[int]] = field(default_factory=dict)
    responses: Counter[str] = field(default_factory=Counter)  # to callers
    recovered: float = 0.0  # seconds until events were applied and delivered again
    workers_back: float = 0.0  # until each worker took tasks again


def main() -> int:
    """Refuse, look, recover, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="of each refusal")
    given = parser.parse_args()
    refusals = {}
    with overload_stack() as stack:
        stack.published(GROUP)  # connections, prepared statements
        eventually(lambda: is_served(stack.console) and is_served(stack.flower))
        began = time.monotonic()
        with looked_at(stack.pids()) as residents:
            for name in ACTS:
                refusals[name] = refuse(stack, name, seconds=given.minutes * 60)
                say_refusal(name, refusals[name])
        lasted = time.monotonic() - began
        codes = stack.stop()
    say_memory(residents)
    checks = [*checked(refusals, residents, lasted, codes)]
    for words, good in checks:
        _say(f"{'ok' if good else 'FAILED'}: {words}")
    return 0 if all(good for _, good in checks) else 1


def refuse(stack: OverloadStack, name: str, *, seconds: float) -> Refusal:
    """Have Redis refuse for so long; then wait until all works again."""
    refusal = Refusal(seconds)
    written = {process.node: len(logged(stack, process.node)) for process in stack.running}
    before = error_count(stack, name)
    look(stack, refusal)
    with ACTS[name](stack.servers):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pause(LOOK_SECONDS)
            look(stack, refusal)
            call(stack, refusal)
        refusal.refused = error_count(stack, name) - before
    ended = time.monotonic()
    stack.published(GROUP)
    refusal.recovered = time.monotonic() - ended
    eventually(lambda: all(is_back(stack, node, written[node]) for node in WORKERS))
    refusal.workers_back = time.monotonic() - ended
    stack.published(GROUP)
    look(stack, refusal)
    for node, length in written.items():
        refusal.retries[node] = sum(failures(logged(stack, node)[length:]))
    return refusal


def look(stack: OverloadStack, refusal: Refusal) -> None:
    """Count descriptors; every process must live."""
    for process in stack.running:
        process.must_live()
        refusal.descriptors.setdefault(process.node, []).append(process.descriptors())


def call(stack: OverloadStack, refusal: Refusal) -> None:
    """Do what backends and people do meanwhile."""
    event = {"action": "ticket_open", "data": {"operator": "acme", "ticket_id": "refused"}}
    requests = {
        "gateway, POST /events": ("POST", f"{stack.flood.gateway}/events"),
        "gateway, /readyz": ("GET", f"{stack.flood.gateway}/readyz"),
        "console, /readyz": ("GET", f"{stack.console}/readyz"),
        "Flower, /broker": ("GET", f"{stack.flower}/broker"),
    }
    for name, (method, url) in requests.items():
        given: dict[str, Any] = {"json": event} if method == "POST" else {}
        try:
            answer = httpx.request(
                method, url, headers={"X-Api-Key": stack.flood.key}, timeout=20, **given
            )
        except httpx.HTTPError as error:
            refusal.responses[f"{name}: {type(error).__name__}"] += 1
        else:
            after = answer.headers.get("Retry-After")
            again = f", Retry-After {after}" if after else ""
            refusal.responses[f"{name}: {answer.status_code}{again}"] += 1


def is_served(url: str) -> bool:
    """Whether somebody answers there."""
    try:
        return httpx.get(url, timeout=20).status_code < httpx.codes.INTERNAL_SERVER_ERROR
    except httpx.TransportError:
        return False


def error_count(stack: OverloadStack, code: str) -> int:
    """How many commands Redis refused with *code*."""
    errors: Any = stack.redis.info("errorstats")
    counted: Any = errors.get(f"errorstat_{code}", {})
    return int(counted.get("count", 0))


def logged(stack: OverloadStack, node: str) -> str:
    """All that a process wrote."""
    return (stack.folder / f"{node}.log").read_text(encoding="utf-8", errors="replace")


def is_back(stack: OverloadStack, node: str, since: int) -> bool:
    """Whether a worker said that its broker is available again."""
    return "broker_available" in logged(stack, node)[since:]


def failures(log: str) -> Iterator[int]:
    """How often something failed, by the lines that say it is over."""
    for line in log.splitlines():
        if OVER.search(line):
            yield json.loads(line)["failures"]


def checked(
    refusals: dict[str, Refusal], residents: Residents, lasted: float, codes: dict[str, int]
) -> Iterator[tuple[str, bool]]:
    """Each check in words, and whether it holds."""
    for name, refusal in refusals.items():
        for node, seen in refusal.descriptors.items():
            settled = seen[: max(2, int(len(seen) * SETTLED))]
            flat = max(seen) <= max(settled) + GROWN_MAX
            yield f"{name}: descriptors of {node} are flat", flat
        yield (
            f"{name}: recovered within {RECOVERED_SECONDS_MAX:.0f} s",
            max(refusal.recovered, refusal.workers_back) <= RECOVERED_SECONDS_MAX,
        )
        yield (
            f"{name}: the gateway says 503, and when to try again",
            set(responses_to(refusal, "gateway, POST")) == {"503, Retry-After 5"},
        )
    for name in residents.seen:
        most = residents.most(name, since=lasted * SETTLED)
        flat_mib = residents.most(name, until=lasted * SETTLED) * GROWTH + GROWTH_MIB
        yield f"memory of {name} stays below {flat_mib:,.0f} MiB", most <= flat_mib
    yield "every process lives, and ends well", set(codes.values()) <= {0, -15}
    longest = SERVER_PAUSES[-1].total_seconds()
    yield f"the longest pause is {longest:.0f} s", longest < RECOVERED_SECONDS_MAX


def responses_to(refusal: Refusal, caller: str) -> list[str]:
    """The responses to one kind of call."""
    return [each.partition(": ")[2] for each in refusal.responses if each.startswith(caller)]


def say_refusal(name: str, refusal: Refusal) -> None:
    """Print what one kind gave."""
    _say(f"| {refusal.seconds / 60:g} minutes of {name} | |")
    _say("|---|---|")
    _say(f"| commands refused | {refusal.refused:,} |")
    for node, many in refusal.retries.items():
        if many:
            _say(f"| failed attempts of {node} | {many:,} |")
    for node, seen in refusal.descriptors.items():
        _say(f"| descriptors of {node}: first, most, last | {seen[0]}, {max(seen)}, {seen[-1]} |")
    for response, many in sorted(refusal.responses.items()):
        _say(f"| {response} | {many:,} times |")
    _say(f"| 500 events applied and delivered after | {refusal.recovered:.1f} s |")
    _say(f"| each worker takes tasks after | {refusal.workers_back:.1f} s |\n")


def say_memory(residents: Residents) -> None:
    """Print what the processes held."""
    _say("| memory, MiB | first | most | last |\n|---|---|---|---|")
    for name in residents.seen:
        held = (residents.first(name), residents.most(name), residents.last(name))
        _say(f"| {name} | {' | '.join(f'{size:.0f}' for size in held)} |")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
