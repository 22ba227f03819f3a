"""Slipway and its peers at the same job: settle a ticket, notify its partner, keep a timer of 24 h.

Each has the same PostgreSQL (fsync on), the same sink, as many tickets and both cores; rounds take
turns. Results go to tests/load/peers.json and tests/load/PEERS.md. What a job is, and how each peer
is written, is said there.
"""

import argparse
import signal
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.load.environment import open_environment
from tests.load.peers.celery_peer import CeleryPeer
from tests.load.peers.contender import Contender, measure
from tests.load.peers.page import Results, page
from tests.load.peers.program_peer import ProgramPeer
from tests.load.peers.restate_peer import RestatePeer
from tests.load.peers.slipway import Slipway
from tests.load.results import say
from tests.load.sink import open_sink

JOBS, ROUNDS = 10_000, 3
JOBS_MIN = 100
GIBIBYTE = 2**30
ROOM = 4 * GIBIBYTE
EXAMPLE = """example:
  .venv/bin/python -m tests.load.peers.bench --peers slipway,pgqueuer-bulk --jobs 2000 --rounds 1

A peer that is not installed is named with the reason. Exit code: 0 if each that was asked for was
measured, 1 if one failed, 2 if the arguments are wrong, 3 if one could not run here.
"""
FAILED, ABSENT = 1, 3

PGQUEUER_COUNTED = """
    SELECT (SELECT count(*) FROM ticket),
           (SELECT count(*) FROM pgqueuer_log
             WHERE entrypoint = 'notify' AND status = 'successful'),
           (SELECT count(*) FROM pgqueuer WHERE entrypoint = 'close' AND status = 'queued'
               AND execute_after > now() + interval '23 hours')"""
PROCRASTINATE_COUNTED = """
    SELECT (SELECT count(*) FROM ticket),
           (SELECT count(*) FROM procrastinate_jobs
             WHERE task_name = 'notify' AND status = 'succeeded'),
           (SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'close' AND status = 'todo'
               AND scheduled_at > now() + interval '23 hours')"""
DBOS_COUNTED = """
    SELECT (SELECT count(*) FROM ticket),
           (SELECT count(*) FROM dbos.workflow_status WHERE name = 'won' AND status = 'SUCCESS'),
           (SELECT count(*) FROM dbos.workflow_status WHERE name = 'close' AND status = 'DELAYED'
               AND delay_until_epoch_ms
                   > extract(epoch FROM now() + interval '23 hours') * 1000)"""


def contenders() -> list[Contender]:
    """All of them, in the order in which they take turns."""
    pgqueuer = ("pgqueuer", "asyncpg", "aiohttp", "uvloop")
    return [
        Slipway(),
        ProgramPeer(
            "pgqueuer-bulk",
            program="pgqueuer_peer",
            way="bulk",
            packages=pgqueuer,
            counted=PGQUEUER_COUNTED,
        ),
        ProgramPeer(
            "pgqueuer-single",
            program="pgqueuer_peer",
            way="single",
            packages=pgqueuer,
            counted=PGQUEUER_COUNTED,
        ),
        ProgramPeer(
            "procrastinate",
            program="procrastinate_peer",
            way="work",
            packages=("procrastinate", "psycopg", "aiohttp", "uvloop"),
            counted=PROCRASTINATE_COUNTED,
        ),
        ProgramPeer(
            "dbos",
            program="dbos_peer",
            way="work",
            packages=("dbos", "sqlalchemy", "psycopg", "aiohttp"),
            counted=DBOS_COUNTED,
        ),
        RestatePeer(),
        CeleryPeer(),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and keep."""
    given, chosen = asked(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))  # servers and workers, too
    results = Results(jobs=given.jobs)
    for contender in chosen:
        if reason := contender.missing():
            results.absent[contender.name] = reason
            say(f"{contender.name}: not run: {reason}")
        else:
            results.versions[contender.name] = contender.version()
    able = [contender for contender in chosen if contender.name not in results.absent]
    if able:
        run(able, results, rounds=given.rounds)
        say("\n" + page(results.summed_up(day=today())))
    if not given.peers and results.rounds:
        results.keep(day=today())
    for name, reason in results.failed.items():
        say(f"{name} FAILED: {reason}")
    return FAILED if results.failed else ABSENT if results.absent else 0


def asked(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[Contender]]:
    """Read the arguments; what is wrong with them is said, and ends the program with 2."""
    everybody = {contender.name: contender for contender in contenders()}
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ", ".join(everybody)
    parser.add_argument(
        "--peers", metavar="NAME,...", help=f"only these, and keep nothing; there are {names}"
    )
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"of a round ({JOBS:,})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"that take turns ({ROUNDS})")
    given = parser.parse_args(arguments)
    wanted = given.peers.split(",") if given.peers else list(everybody)
    if unknown := [name for name in wanted if name not in everybody]:
        parser.error(f"no contender is called {', '.join(unknown)}; there are {names}")
    if given.jobs < JOBS_MIN:
        parser.error(f"--jobs {given.jobs}: fewer than {JOBS_MIN} say nothing")
    if given.rounds < 1:
        parser.error(f"--rounds {given.rounds}: at least one")
    return given, [everybody[name] for name in wanted]


def run(chosen: list[Contender], results: Results, *, rounds: int) -> None:
    """Let them take turns; who fails is left out of the rounds that follow."""
    with open_environment(room=ROOM) as environment, open_sink() as sink:
        for number in range(1, rounds + 1):
            for contender in chosen:
                if contender.name in results.failed:
                    continue
                try:
                    measured = measure(contender, environment, sink, jobs=results.jobs)
                except Exception as error:  # noqa: BLE001 - whatever it is, the others have their turn
                    traceback.print_exc()
                    results.failed[contender.name] = f"{type(error).__name__}: {error}"
                    continue
                results.add(contender.name, measured)
                say(f"round {number}, {contender.name}: {measured.jobs_a_second:,.0f} jobs/s")


def today() -> datetime:
    """The day of the run, for its page."""
    return datetime.now(UTC)  # noqa: TID251 - a command's own clock


if __name__ == "__main__":
    sys.exit(main())
