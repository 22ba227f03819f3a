"""The gauges of the collected stats: each set replaces the one before."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from models.monitoring.replication import Standbys
from models.monitoring.stats import OperatorStats, Stats
from worker.metrics.redis_stats import PublishRefusal, StreamStats

Family = GaugeMetricFamily


class Gauges(Collector):
    """Exports the last values. A scrape never waits for a server."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._shown: dict[str, Sequence[Family]] = {}
        self._computed: dict[str, Callable[[], Iterable[Family]]] = {}
        registry.register(self)

    def show(self, source: str, families: Iterable[Family]) -> None:
        """Export *families* from now on, in place of those that came from *source* before."""
        self._shown = {**self._shown, source: tuple(families)}  # a scrape may be running

    def compute(self, source: str, families: Callable[[], Iterable[Family]]) -> None:
        """Call *families* with each scrape; it must not query any server."""
        self._computed = {**self._computed, source: families}

    def collect(self) -> Iterator[Family]:
        """Return what is exported."""
        for families in self._shown.values():
            yield from families
        for compute in self._computed.values():
            yield from compute()


def gauge(name: str, documentation: str, value: float) -> Family:
    """Make a gauge without labels."""
    return Family(f"slipway_{name}", documentation, value=value)


def gauges(name: str, documentation: str, label: str, values: Mapping[str, float]) -> Family:
    """Make a gauge for each value of *label*."""
    family = Family(f"slipway_{name}", documentation, labels=[label])
    for label_value, value in values.items():
        family.add_metric([label_value], value)
    return family


def of_database(
    stats: Stats, *, sweep_interval: timedelta, since: datetime, partner_timeout: timedelta
) -> list[Family]:
    """Return the gauges of *stats*. *since*: when a first round of the sweep became overdue.

    *partner_timeout*: of the operators that have none of their own.
    """
    last = stats.last_round
    families = [
        *_of_operators(stats, partner_timeout),
        gauge("operators_without_stats", "Operators beyond the first 1,000 by code.",
              stats.operators_beyond),
        gauges("tickets", "Tickets by status; an estimate if the table is big.", "status",
               {status.value: count for status, count in stats.tickets.items()}),
        gauge("closings_due", "Tickets that are due to close; at most 10,000.", stats.closes_due),
        gauge("closings_overdue_seconds", "How long the first of them has been due.",
              _age(stats.at, stats.oldest_close_due_at)),
        gauge("tickets_on_hold", "Tickets that a person holds; at most 10,000.", stats.on_hold),
        gauge("tickets_oldest_on_hold_seconds", "How long the first of them has been on hold.",
              _age(stats.at, stats.oldest_on_hold_at)),
        gauge("parked_events", "Parked events; at most 10,000.", stats.parked),
        gauge("parked_overdue_seconds", "How long ago the first of their windows ended.",
              _age(stats.at, stats.first_window_end)),
        gauge("rejected_events", "Open rejected events; at most 20,000.", stats.rejected),
        gauge("superseded_events", "Open events that a newer one with other data superseded.",
              stats.superseded),
        gauges("jobs", "Jobs that have not ended; at most 10,000.", "state",
               {state.value: count for state, count in stats.jobs.items()}),
        gauge("job_stalled_seconds",
              "How long a job has not been carried on: its batch is overdue, or each one fails.",
              _age(stats.at, stats.job_stalled_since)),
        gauge("entries_lost",
              "Entries that vanished from the stream unapplied, noticed in the last hour.",
              stats.stream_entries_lost),
        *_of_standbys(stats.standbys),
        gauge("sweep_interval_seconds", "Configured pause between two rounds of the sweep.",
              sweep_interval.total_seconds()),
        gauge("sweep_last_round_age_seconds", "Time since any sweep ended a round.",
              _age(stats.at, since if last is None else last.ended_at)),
    ]  # fmt: skip
    if last is not None and last.watermark is not None:
        lag = _age(last.ended_at, last.watermark)
        families.append(
            gauge("sweep_watermark_lag_seconds", "How far its watermark was behind the clock.", lag)
        )
    return families


def of_stream(stats: StreamStats, *, kept_by_provider: bool = False) -> list[Family]:
    """Return the gauges of the stream and of its server.

    *kept_by_provider*: it keeps events on its disk without showing how (SLIPWAY_REDIS_DURABILITY).
    """
    return [
        gauge("stream_entries", "Entries on the stream, none of which is applied.", stats.entries),
        gauge("stream_unread", "Entries that no intake has read: the lag.", stats.unread),
        gauge("stream_pending", "Entries that an intake is applying.", stats.pending),
        gauge("stream_oldest_seconds", "Age of the oldest entry that is not applied.",
              _age(stats.at, stats.oldest_at)),
        gauge("stream_ids_ahead_seconds", "How far its last id is ahead of Redis' clock.",
              stats.ids_ahead.total_seconds()),
        gauge("redis_memory_bytes", "Memory that Redis uses.", stats.memory_bytes),
        gauge("redis_memory_limit_bytes", "Memory that Redis may use; 0: no limit of its own.",
              stats.memory_limit_bytes),
        gauge("redis_noeviction", "1: Redis evicts nothing when it is full.", stats.noeviction),
        gauge("redis_append_only", "1: Redis has its append-only file on, and could write it.",
              stats.append_only or kept_by_provider),
    ]  # fmt: skip


def of_refusal(refusal: PublishRefusal | None) -> list[Family]:
    """Return the gauges of why Redis refuses events; all are 0 if it accepts them."""
    values = {reason.value: float(reason is refusal) for reason in PublishRefusal}
    return [gauges("stream_refused", "1: Redis would refuse an event now.", "reason", values)]


def of_queues(kind: str, lengths: Mapping[str, int]) -> list[Family]:
    """Return the gauges of the lengths of queues: those of wakeups, or the one for events."""
    return [gauges(f"{kind}_queue_messages", "Messages waiting in the queue.", "queue", lengths)]


def of_misplaced_messages(counts: Mapping[str, int]) -> list[Family]:
    """Return the gauges of Celery messages in queues that no worker reads."""
    help_text = "Messages in a queue that no worker reads."
    return [gauges("misplaced_messages", help_text, "queue", counts)]


def of_clocks(skew: timedelta) -> list[Family]:
    """Return the gauge of how far the clock of Redis is ahead of PostgreSQL's."""
    help_text = "Redis clock minus PostgreSQL clock, in seconds."
    return [gauge("clock_skew_seconds", help_text, skew.total_seconds())]


def of_servers(up: Mapping[str, float], collected_at: Mapping[str, float]) -> list[Family]:
    """Return the gauges of which servers answered, and when each last did."""
    return [
        gauges("server_up", "1: the server answered the last time stats were collected.", "server",
               up),
        gauges("stats_collected_timestamp_seconds", "When stats were last collected from it.",
               "server", collected_at),
    ]  # fmt: skip


def _of_standbys(standbys: Standbys) -> Iterator[Family]:
    yield gauge(
        "synchronous_standbys_missing",
        "Synchronous standbys that PostgreSQL is set to wait for and does not have.",
        standbys.missing,
    )
    yield gauge(
        "commit_wait_seconds",
        "How long the oldest of our commits has waited for a synchronous standby.",
        (standbys.oldest_commit or timedelta()).total_seconds(),
    )


def _of_operators(stats: Stats, partner_timeout: timedelta) -> Iterator[Family]:
    columns: list[tuple[str, str, Callable[[OperatorStats], float]]] = [
        ("operator_enabled", "0: its notices are held.", lambda operator: operator.enabled),
        ("circuit_open", "1: only probes are sent.", lambda operator: operator.circuit is not None),
        ("notices_due", "Notices that may be sent now; at most 10,000.",
         lambda operator: operator.due),
        ("notices_in_flight", "Notices that are being sent.", lambda operator: operator.in_flight),
        ("notices_dead", "Dead letters; at most 10,000.", lambda operator: operator.dead),
        ("notices_oldest_due_seconds", "How long the first of those due has been due.",
         lambda operator: _age(stats.at, operator.oldest_due_at)),
        ("notices_oldest_undelivered_seconds",
         "How long the first undelivered notice has waited: due, failed or being sent.",
         lambda operator: _age(stats.at, operator.undelivered_since)),
        ("operator_timeout_seconds", "Timeout of a call to it.",
         lambda operator: (operator.timeout or partner_timeout).total_seconds()),
        ("notices_oldest_dead_seconds", "Age of the first dead letter.",
         lambda operator: _age(stats.at, operator.oldest_dead_at)),
    ]  # fmt: skip
    for name, documentation, value_of in columns:
        values = {operator.code: value_of(operator) for operator in stats.operators}
        yield gauges(name, documentation, "operator", values)
    yield gauges(
        "operator_access_expires_timestamp_seconds",
        "When its client certificate or its own authorities expire; absent without any.",
        "operator",
        {
            operator.code: operator.access_expires_at.timestamp()
            for operator in stats.operators
            if operator.access_expires_at is not None
        },
    )
    causes = Family("slipway_circuit_cause", "1: why the circuit is open.",
                    labels=["operator", "cause"])  # fmt: skip
    for operator in stats.operators:
        if operator.circuit is not None:
            causes.add_metric([operator.code, operator.circuit], 1)
    yield causes
    targets = Family("slipway_circuit_redirect", "1: where it redirects to, while it is open.",
                     labels=["operator", "target"])  # fmt: skip
    for operator in stats.operators:
        if operator.redirects_to is not None:
            targets.add_metric([operator.code, operator.redirects_to], 1)
    yield targets


def _age(now: datetime, since: datetime | None) -> float:
    """Return the seconds since then; 0 for None, and for what is yet to come."""
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
