"""Surveys as Prometheus shows them: each a whole set of figures that replaces the one before."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from models.monitoring.stats import OperatorStats, Stats
from worker.metrics.stream_probe import Refused
from worker.metrics.stream_stats import StreamStats

Family = GaugeMetricFamily


class Gauges(Collector):
    """Shows what was last put here. A scrape never waits for a server."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._shown: dict[str, Sequence[Family]] = {}
        self._asked: dict[str, Callable[[], Iterable[Family]]] = {}
        registry.register(self)

    def show(self, source: str, families: Iterable[Family]) -> None:
        """Show *families* from now on, in the place of those that came from *source* before."""
        self._shown = {**self._shown, source: tuple(families)}  # at once: a scrape may be going on

    def ask(self, source: str, families: Callable[[], Iterable[Family]]) -> None:
        """Have *families* told anew with each scrape; they must know without asking anybody."""
        self._asked = {**self._asked, source: families}

    def collect(self) -> Iterator[Family]:
        """Give what is shown."""
        for told in self._shown.values():
            yield from told
        for tell in self._asked.values():
            yield from tell()


def gauge(name: str, documentation: str, value: float) -> Family:
    """Make a figure without labels."""
    return Family(f"slipway_{name}", documentation, value=value)


def gauges(name: str, documentation: str, label: str, values: Mapping[str, float]) -> Family:
    """Make a figure for each value of *label*."""
    family = Family(f"slipway_{name}", documentation, labels=[label])
    for label_value, value in values.items():
        family.add_metric([label_value], value)
    return family


def of_database(survey: Stats, *, sweep_interval: timedelta, since: datetime) -> list[Family]:
    """Word what the database showed. *since*: from then on a first round of the sweep is missed."""
    last = survey.last_round
    found = [
        *_of_operators(survey),
        gauge("operators_without_stats", "Partners beyond the first 1,000: they are not shown.",
              survey.operators_beyond),
        gauges("tickets", "Tickets by status; in a big table an estimate.", "status",
               {status.value: count for status, count in survey.tickets.items()}),
        gauge("closings_due", "Tickets whose delay is over; at most 10,000.", survey.closes_due),
        gauge("closings_overdue_seconds", "How long the first of them has been due.",
              _age(survey.at, survey.oldest_close_due_at)),
        gauge("parked_events", "Events that wait to fit; at most 10,000.", survey.parked),
        gauge("parked_overdue_seconds", "How long ago the first of their windows ended.",
              _age(survey.at, survey.first_window_end)),
        gauge("rejected_events", "Refused, and not yet dealt with by a person; at most 20,000.",
              survey.rejected),
        gauge("superseded_events", "Overtaken by one that differs, and not yet dealt with.",
              survey.superseded),
        gauge("sweep_interval_seconds", "Pause between the rounds of the sweep, as it is set.",
              sweep_interval.total_seconds()),
        gauge("sweep_last_round_age_seconds", "Time since any sweep ended a round.",
              _age(survey.at, since if last is None else last.ended_at)),
    ]  # fmt: skip
    if last is not None and last.horizon is not None:
        lag = _age(last.ended_at, last.horizon)
        found.append(
            gauge("sweep_watermark_lag_seconds", "How far its watermark was behind the clock.", lag)
        )
    return found


def of_stream(survey: StreamStats) -> list[Family]:
    """Word what Redis showed of the stream and of itself."""
    return [
        gauge("stream_entries", "Entries on the stream: all that is not applied.", survey.entries),
        gauge("stream_unread", "Entries that no intake was handed yet: the lag.", survey.unread),
        gauge("stream_pending", "Entries that an intake has in hand.", survey.pending),
        gauge("stream_oldest_seconds", "Age of the oldest entry that is not applied.",
              _age(survey.at, survey.oldest_at)),
        gauge("stream_ids_ahead_seconds", "How far its last id is ahead of Redis' clock.",
              survey.ids_ahead.total_seconds()),
        gauge("redis_memory_bytes", "Memory that Redis uses.", survey.memory_bytes),
        gauge("redis_memory_limit_bytes", "Memory that Redis may use; 0: no limit of its own.",
              survey.memory_limit_bytes),
        gauge("redis_noeviction", "1: Redis evicts nothing when it is full.",
              survey.keeps_everything),
        gauge("redis_append_only", "1: Redis has its append-only file on, and could write it.",
              survey.writes_log),
    ]  # fmt: skip


def of_trial(found: Refused | None) -> list[Family]:
    """Word whether Redis would take an event, and if not, why."""
    values = {reason.value: float(reason is found) for reason in Refused}
    return [gauges("stream_refused", "1: Redis would refuse an event now.", "reason", values)]


def of_queues(of: str, lengths: Mapping[str, int]) -> list[Family]:
    """Word how long queues are: those of hints, or those of the door for events."""
    return [gauges(f"{of}_queue_messages", f"Messages ({of}) nobody took yet.", "queue", lengths)]


def of_lost_messages(counts: Mapping[str, int]) -> list[Family]:
    """Word how many messages of Celery lie where no worker takes them."""
    return [gauges("misplaced_messages", "Messages where no worker takes them.", "queue", counts)]


def of_clocks(apart: timedelta) -> list[Family]:
    """Word how far the clock of Redis is ahead of PostgreSQL's."""
    return [gauge("clock_skew_seconds", "Redis' clock less PostgreSQL's.", apart.total_seconds())]


def of_servers(up: Mapping[str, float], seen: Mapping[str, float]) -> list[Family]:
    """Word which servers could be asked by the last survey, and when each was surveyed last."""
    return [
        gauges("server_up", "1: the last survey could ask it.", "server", up),
        gauges("stats_collected_timestamp_seconds", "When it was surveyed last.", "server", seen),
    ]


def _of_operators(survey: Stats) -> Iterator[Family]:
    shown: list[tuple[str, str, Callable[[OperatorStats], float]]] = [
        ("operator_enabled", "0: its notices are held.", lambda one: one.enabled),
        ("circuit_open", "1: nothing but probes is sent.", lambda one: one.circuit is not None),
        ("notices_due", "Notices that may be sent now; at most 10,000.", lambda one: one.due),
        ("notices_in_flight", "Notices somebody is sending.", lambda one: one.in_flight),
        ("notices_dead", "Notices that wait for a person; at most 10,000.", lambda one: one.dead),
        ("notices_oldest_due_seconds", "How long the first of those due has been due.",
         lambda one: _age(survey.at, one.oldest_due_at)),
        ("notices_oldest_undelivered_seconds",
         "How long the first of those not taken has been owed: due, failed or being sent.",
         lambda one: _age(survey.at, one.undelivered_since)),
        ("notices_oldest_dead_seconds", "How long the first of those dead has been dead.",
         lambda one: _age(survey.at, one.oldest_dead_at)),
    ]  # fmt: skip
    for name, documentation, figure in shown:
        values = {one.code: figure(one) for one in survey.operators}
        yield gauges(name, documentation, "operator", values)
    causes = Family("slipway_circuit_cause", "1: what its circuit is open for.",
                    labels=["operator", "cause"])  # fmt: skip
    for one in survey.operators:
        if one.circuit is not None:
            causes.add_metric([one.code, one.circuit], 1)
    yield causes


def _age(now: datetime, since: datetime | None) -> float:
    """Seconds since then; 0 for nothing, and for what is yet to come."""
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
