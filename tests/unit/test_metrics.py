"""Counting for Prometheus: whole batches at once, bounded labels, a page of one's own."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from models.intake.apply import Applied
from models.monitoring.replication import Standbys
from models.monitoring.stats import OperatorStats, Stats
from models.outbox.causes import Cause
from models.outbox.values import Attempt, Claim, Delivered, RetryLater, Verdict
from models.sweeps.heartbeat import Round
from models.telemetry import metrics
from models.telemetry.logs import LogCounter
from models.telemetry.metrics import new_registry
from models.vocabulary import Action, JobState
from tests.support.free_port import free_port
from worker.intake.loop import AppliedBatch
from worker.metrics import gauges
from worker.metrics.delivery import OTHERS, DeliveryMetrics, LabelLimit
from worker.metrics.gauges import Gauges
from worker.metrics.histogram import BatchHistogram
from worker.metrics.intake import IntakeMetrics
from worker.metrics.server import MetricsServer
from worker.process.health import Probes

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def samples(registry: CollectorRegistry) -> dict[str, float]:
    """What is shown, by name and labels as they are written."""
    return {
        sample.name
        + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def attempt(verdict: Verdict, *, operator: str = "acme", took: timedelta = SECOND) -> Attempt:
    claim = Claim(
        notice=1, ticket=1, operator=1, operator_code=operator, ticket_id="7", action=Action.WIN,
        generation=1, path="", body="{}", stored_key=None, number=1, tries=0, first_tried_at=None,
        claimed_at=NOW, lease=uuid4(),
    )  # fmt: skip
    return Attempt(claim, verdict, took)


def test_a_histogram_takes_a_batch_and_counts_each_value_below_its_bound(registry):
    histogram = BatchHistogram("h", "-", buckets=(1.0, 2.0), registry=registry, label="who")

    histogram.observe([0.5, 1.0, 1.5, 9.0], "acme")
    histogram.observe([2.0], "acme")
    histogram.expect("betsy")

    shown = samples(registry)
    assert [shown[f"h_bucket le={le} who=acme"] for le in ("1", "2", "+Inf")] == [2, 4, 5]
    assert (shown["h_count who=acme"], shown["h_sum who=acme"]) == (5, 14.0)
    assert shown["h_count who=betsy"] == 0


def test_a_batch_is_counted_once_by_action_and_outcome(registry):
    metrics = IntakeMetrics(registry)
    applied = Applied(Counter({("ticket_win", "applied"): 3, ("unreadable", "rejected"): 2}))

    metrics.applied(AppliedBatch(applied, 5, SECOND, timedelta(seconds=20)))

    shown = samples(registry)
    assert shown["slipway_events_total action=ticket_win outcome=applied"] == 3
    assert shown["slipway_events_total action=unreadable outcome=rejected"] == 2
    assert shown["slipway_events_total action=ticket_lost outcome=parked"] == 0
    assert (
        shown["slipway_intake_batch_entries_sum"],
        shown["slipway_intake_batch_entries_count"],
    ) == (5, 1)
    assert shown["slipway_intake_apply_duration_seconds_sum"] == 20


@pytest.mark.parametrize(
    ("waited", "counted"), [(-SECOND, 0.0), (timedelta(days=9000), 86400.0)], ids=str
)
def test_an_id_that_a_publisher_chose_cannot_spoil_the_average(registry, waited, counted):
    metrics = IntakeMetrics(registry)

    metrics.applied(AppliedBatch(Applied(), 1, SECOND, waited))

    assert samples(registry)["slipway_intake_apply_duration_seconds_sum"] == counted


def test_attempts_are_counted_by_operator_and_verdict_and_those_without_a_request_take_no_time(
    registry,
):
    metrics = DeliveryMetrics(registry)

    metrics.recorded([attempt(Delivered()), attempt(Delivered()), attempt(RetryLater(SECOND))])
    metrics.recorded([attempt(RetryLater(SECOND), operator="betsy", took=timedelta())])

    shown = samples(registry)
    assert shown["slipway_delivery_attempts_total operator=acme verdict=delivered"] == 2
    assert shown["slipway_delivery_attempts_total operator=acme verdict=dead"] == 0
    assert shown["slipway_delivery_attempts_total operator=betsy verdict=again"] == 1
    assert shown["slipway_delivery_attempt_duration_seconds_count operator=acme"] == 3
    assert shown["slipway_delivery_attempt_duration_seconds_count operator=betsy"] == 0


def test_rejections_are_counted_by_reason_and_channel_from_zero_on(registry):
    metrics = IntakeMetrics(registry)
    rejected = Counter({("not_json", "queue"): 2, ("out_of_turn", "earlier"): 1})

    metrics.applied(AppliedBatch(Applied(rejected=rejected), 3, SECOND))

    shown = samples(registry)
    assert shown["slipway_events_rejected_total channel=queue reason=not_json"] == 2
    assert shown["slipway_events_rejected_total channel=earlier reason=out_of_turn"] == 1
    assert shown["slipway_events_rejected_total channel=stream reason=unknown_operator"] == 0
    assert not any("reason=waits_for_ticket" in name for name in shown)


def test_a_partner_is_shown_as_unusable_until_it_is_usable_again(registry):
    metrics = DeliveryMetrics(registry)
    name = "slipway_partner_unusable operator=acme"

    stands = []
    for unusable in ({"acme": True}, {"acme": False}, {}):
        metrics.unusable(unusable)
        stands.append(samples(registry).get(name))

    assert stands == [1, 0, None]


def test_a_closed_circuit_has_no_cause(registry):
    (only,) = stats_of("acme").operators
    closed = replace(stats_of("acme"), operators=(replace(only, circuit=None),))

    Gauges(registry).show("database", of_database(closed))

    now = samples(registry)
    assert now["slipway_circuit_open operator=acme"] == 0
    assert not any("slipway_circuit_cause" in name for name in now)


def test_an_open_circuit_says_where_the_partner_redirects_to(registry):
    (only,) = stats_of("acme").operators
    moved = replace(only, circuit=Cause.REDIRECT, redirects_to="https://new.example/")
    shown = Gauges(registry)
    shown.show("database", of_database(replace(stats_of("acme"), operators=(moved,))))

    assert samples(registry)["slipway_circuit_redirect operator=acme target=https://new.example/"]
    shown.show("database", of_database(stats_of("acme")))
    assert not any("slipway_circuit_redirect" in name for name in samples(registry))


def test_the_doubts_about_a_wallet_s_success_are_counted(registry):
    metrics = DeliveryMetrics(registry)
    metrics.recorded([attempt(Delivered())])
    odd = replace(attempt(Delivered()), remarks={"doubts": ["balance_moved_otherwise"]})
    metrics.recorded([odd, odd])

    now = samples(registry)
    assert (
        now["slipway_delivery_doubtful_responses_total doubt=balance_moved_otherwise operator=acme"]
        == 2
    )
    assert now["slipway_delivery_doubtful_responses_total doubt=ref_id_not_ours operator=acme"] == 0


def test_calls_of_token_endpoints_are_counted_by_outcome_from_zero_on(registry):
    metrics = DeliveryMetrics(registry)

    for outcome in ("granted", "refused", "granted"):
        metrics.token_called("acme", outcome)

    now = samples(registry)
    counts = {
        outcome: now[f"slipway_token_calls_total operator=acme outcome={outcome}"]
        for outcome in ("granted", "refused", "no_response")
    }
    assert counts == {"granted": 2, "refused": 1, "no_response": 0}


def test_labels_beyond_the_limit_are_one():
    bounded = LabelLimit(values_max=2)

    assert [bounded(name) for name in ("a", "b", "c", "a", "d")] == ["a", "b", OTHERS, "a", OTHERS]


def test_stats_are_exported_together_and_replace_the_ones_before(registry):
    shown = Gauges(registry)
    shown.show("database", of_database(stats_of("acme", "betsy")))
    shown.show("database", of_database(stats_of("acme")))

    now = samples(registry)
    assert now["slipway_notices_oldest_due_seconds operator=acme"] == 60
    assert now["slipway_notices_oldest_undelivered_seconds operator=acme"] == 90
    assert now["slipway_circuit_open operator=acme"] == 1
    assert now["slipway_circuit_cause cause=certificate operator=acme"] == 1
    assert not any("betsy" in name for name in now)
    assert now["slipway_closings_overdue_seconds"] == 0
    assert now["slipway_synchronous_standbys_missing"] == 1
    assert now["slipway_commit_wait_seconds"] == 15
    assert (
        now["slipway_sweep_last_round_age_seconds"],
        now["slipway_sweep_watermark_lag_seconds"],
    ) == (5, 2)


def test_a_sweep_that_never_ended_a_round_is_overdue_from_the_first_stats_on(registry):
    """Otherwise a beat that hangs from the beginning would page no one."""
    never = replace(stats_of("acme"), last_round=None)

    Gauges(registry).show("database", of_database(never, since=NOW - 40 * SECOND))

    assert samples(registry)["slipway_sweep_last_round_age_seconds"] == 40


def test_the_timeout_of_a_partner_is_its_own_or_that_of_all(registry):
    seen = stats_of("acme", "betsy")
    slow, other = seen.operators
    own = replace(seen, operators=(replace(slow, timeout=30 * SECOND), other))

    Gauges(registry).show("database", of_database(own))

    shown = samples(registry)
    assert shown["slipway_operator_timeout_seconds operator=acme"] == 30
    assert shown["slipway_operator_timeout_seconds operator=betsy"] == 5


def of_database(seen: Stats, *, since: datetime = NOW) -> list[gauges.Family]:
    return gauges.of_database(seen, sweep_interval=SECOND, since=since, partner_timeout=5 * SECOND)


def stats_of(*operators: str) -> Stats:
    return Stats(
        at=NOW,
        operators=tuple(
            OperatorStats(code, enabled=True, circuit=Cause.CERTIFICATE, due=3, in_flight=1,
                           oldest_due_at=NOW - 60 * SECOND, undelivered_since=NOW - 90 * SECOND,
                           dead=0, oldest_dead_at=None)
            for code in operators
        ),
        operators_beyond=0,
        tickets={},
        closes_due=0,
        oldest_close_due_at=None,
        on_hold=2,
        oldest_on_hold_at=NOW - 50 * SECOND,
        parked=1,
        first_window_end=NOW + SECOND,
        rejected=0,
        superseded=0,
        jobs={JobState.WAITING: 1, JobState.RUNNING: 2},
        job_stalled_since=NOW - 40 * SECOND,
        last_round=Round(NOW - 5 * SECOND, NOW - 7 * SECOND),
        stream_entries_lost=0,
        standbys=Standbys(required=2, synchronous=0, hidden=1, senders=1,
                          oldest_commit=15 * SECOND),
    )  # fmt: skip


@pytest.fixture
def page(tmp_path: Path) -> Iterator[MetricsServer]:
    made = MetricsServer(new_registry("intake"), probes=Probes(tmp_path / "probes", "intake@x"))
    yield made
    made.close()


def test_a_server_records_its_address_and_names_its_process(page, tmp_path, monkeypatch):
    monkeypatch.setattr(
        metrics, "LOG_COUNTS", LogCounter()
    )  # the process's has counted other tests' lines
    page.open(address="127.0.0.1", port=0)

    address = (tmp_path / "probes" / "intake@x.metrics").read_text().strip()
    response = httpx.get(address, timeout=30)
    text = response.text
    page.close()

    assert response.http_version == "HTTP/1.0"  # so no idle connection is kept, nor closed too soon

    assert 'process="intake"' in text
    assert 'slipway_log_lines_total{event="intake_failed",level="error"} 0.0' in text
    assert "_created" not in text
    assert not (tmp_path / "probes" / "intake@x.metrics").exists()


def test_a_taken_port_ends_the_metrics_and_not_the_process(page, tmp_path, caplog):
    port = free_port()
    first = MetricsServer(new_registry("sweep"), probes=Probes(tmp_path / "probes", "sweep@x"))
    first.open(address="127.0.0.1", port=port)

    page.open(address="127.0.0.1", port=port)

    first.close()
    assert "metrics_server_not_started" in caplog.messages
    assert not (tmp_path / "probes" / "intake@x.metrics").exists()
