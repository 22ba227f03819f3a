"""For each alert, what Prometheus sees when it must come, and what looks alike and must not call.

Series in promtool's notation, a value each minute. *comes*: the first minute at which it must fire;
a minute before that it must be silent.
"""

from dataclasses import dataclass, field
from typing import Final

Series = dict[str, str]

ATTEMPTS: Final = "slipway_delivery_attempts_total"
UNDELIVERED: Final = "slipway_notices_oldest_undelivered_seconds"
ENABLED: Final = 'slipway_operator_enabled{operator="acme"}'
ACME: Final = {"operator": "acme"}
ACME_ALONE: Final = '{operator="acme"}'
ACCESS_EXPIRES: Final = "slipway_operator_access_expires_timestamp_seconds"
LINES: Final = "slipway_log_lines_total"
REQUESTS: Final = "slipway_http_requests_total"
PROCESSES: Final = ("gateway", "console", "intake", "deliver", "sweep", "beat")
ALL_RUN: Final = {f'slipway_build_info{{process="{process}"}}': "1x90" for process in PROCESSES}
EVENTS: Final = "slipway_events_total"
DOUBTS: Final = "slipway_delivery_doubtful_responses_total"
DURATION: Final = "slipway_delivery_attempt_duration_seconds_bucket"
TIMEOUT: Final = "slipway_operator_timeout_seconds"
LAST_ROUND: Final = "slipway_sweep_last_round_age_seconds"
SWEEP_INTERVAL: Final = "slipway_sweep_interval_seconds"


@dataclass(frozen=True, slots=True)
class Case:
    """*alike*: each of these alone must not call, up to 20 minutes later than that."""

    alert: str
    broken: Series
    comes: int
    alike: tuple[Series, ...]
    labels: dict[str, str] = field(default_factory=dict)


def gauge(name: str, well: float, broken: float, **labels: str) -> tuple[Series, Series]:
    """Return a metric that is wrong from the start, and one that is right."""
    matched = ",".join(f'{label}="{value}"' for label, value in labels.items())
    series = f"{name}{{{matched}}}"
    return {series: f"{broken}x90"}, {series: f"{well}x90"}


def requests(process: str, status: int) -> str:
    """Name the requests of a process with this status."""
    return f'{REQUESTS}{{process="{process}",status="{status}"}}'


def handled(method: str, route: str, status: int) -> str:
    """Name the gateway's requests to a route."""
    labels = f'process="gateway",method="{method}",route="{route}",status="{status}"'
    return f"{REQUESTS}{{{labels}}}"


def took(*, of_100_within_2500_ms: int, timeout: int) -> Series:
    """Return the attempts of a partner with this timeout; the others took up to 5 s."""
    attempts = f'{DURATION}{{operator="acme",le='
    return {
        f'{attempts}"2.5"}}': f"0+{of_100_within_2500_ms}x90",
        f'{attempts}"5"}}': "0+100x90",
        f'{attempts}"+Inf"}}': "0+100x90",
        f"{TIMEOUT}{ACME_ALONE}": f"{timeout}x90",
    }


def took_at_most(seconds: str) -> str:
    """Name the gateway's requests that took no longer."""
    return f'slipway_http_request_duration_seconds_bucket{{process="gateway",le="{seconds}"}}'


def standing(alert: str, name: str, well: float, broken: float, comes: int, **labels: str) -> Case:
    """Make the case of one figure that is compared with a bound."""
    wrong, right = gauge(name, well, broken, **labels)
    (series,) = wrong
    passing = {series: f"{well}x9 {broken} {well}x80"}
    return Case(alert, wrong, comes, (right, passing), labels)


def logged(alert: str, level: str, line: str, **labels: str) -> Case:
    """Make the case of a line in the log: it calls at once, and the one before it does not."""
    series = f'{LINES}{{level="{level}",event="{line}"}}'
    return Case(alert, {series: "0x9 1x80"}, 10, ({series: "0x90"}, {series: "7x90"}), labels)


def undelivered(alert: str, bound: int) -> Case:
    """Make the case of a notice that is not taken, from the minute in which it was due."""
    growing = {f'{UNDELIVERED}{{operator="acme"}}': "0+60x90", ENABLED: "1x90"}
    succeeding = {f'{ATTEMPTS}{{operator="acme",verdict="delivered"}}': "0+50x90"}
    taken = {f'{UNDELIVERED}{{operator="acme"}}': f"0+60x{bound - 6} 0x90", ENABLED: "1x90"}
    disabled = {f'{UNDELIVERED}{{operator="acme"}}': "0+60x90", ENABLED: "0x90"}
    works_off = {f'{UNDELIVERED}{{operator="acme"}}': "90000-30000x3 0x90", ENABLED: "0 1x90"}
    open_circuit = {'slipway_circuit_open{operator="acme"}': "1x90"}
    return Case(
        alert, growing | succeeding | open_circuit, bound, (taken, disabled, works_off), ACME
    )


CASES: Final = (
    standing("SlipwayEventsNotApplied", "slipway_stream_oldest_seconds", 50, 70, 1),
    Case(
        "SlipwaySweepStopped",
        {LAST_ROUND: "100x90", SWEEP_INTERVAL: "5x90"},
        1,
        (
            {LAST_ROUND: "40x90", SWEEP_INTERVAL: "5x90"},
            {LAST_ROUND: "100x90", SWEEP_INTERVAL: "60x90"},
            {
                f'{LAST_ROUND}{{instance="a"}}': "100x90",
                f'{LAST_ROUND}{{instance="b"}}': "4x90",
                SWEEP_INTERVAL: "5x90",
            },
        ),
    ),
    standing("SlipwayClosingsOverdue", "slipway_closings_overdue_seconds", 290, 310, 2),
    standing("SlipwayWatermarkStale", "slipway_sweep_watermark_lag_seconds", 290, 310, 2),
    Case(
        "SlipwayWatermarkStale",
        {
            'slipway_sweep_rounds_total{watermark="unknown"}': "0+12x90",
            'slipway_sweep_rounds_total{watermark="known"}': "0x90",
        },
        3,  # a rate needs two values
        (
            {
                'slipway_sweep_rounds_total{watermark="unknown"}': "0+5x90",
                'slipway_sweep_rounds_total{watermark="known"}': "0+7x90",
            },
        ),
    ),
    Case(
        "SlipwayNoticesOverdue",
        {'slipway_notices_oldest_due_seconds{operator="acme"}': "400x90", ENABLED: "1x90"},
        2,
        (
            {'slipway_notices_oldest_due_seconds{operator="acme"}': "200x90", ENABLED: "1x90"},
            {'slipway_notices_oldest_due_seconds{operator="acme"}': "400x90", ENABLED: "0x90"},
            {
                'slipway_notices_oldest_due_seconds{operator="acme"}': "400x90",
                'slipway_circuit_open{operator="acme"}': "1x90",
                ENABLED: "1x90",
            },
        ),
        ACME,
    ),
    undelivered("SlipwayNoticeUndelivered", 60),
    undelivered("SlipwayNoticeDelayed", 15),
    Case(
        "SlipwayPartnerDown",
        {f'{ATTEMPTS}{{operator="acme",verdict="again"}}': "0+4x90"},
        11,
        (
            {
                f'{ATTEMPTS}{{operator="acme",verdict="again"}}': "0+4x90",
                f'{ATTEMPTS}{{operator="acme",verdict="delivered"}}': "0+1x90",
            },
            {f'{ATTEMPTS}{{operator="acme",verdict="again"}}': "4x90"},
        ),
        ACME,
    ),
    standing("SlipwayDeadLetters", "slipway_notices_dead", 0, 1, 1, operator="acme"),
    standing("SlipwayPartnerUnusable", "slipway_partner_unusable", 0, 1, 1, operator="acme"),
    Case(
        "SlipwayPostgresUnreachable",
        {'slipway_server_up{server="postgresql"}': "0x90"},
        1,
        (
            {'slipway_server_up{server="postgresql"}': "1x90"},
            {
                'slipway_server_up{server="postgresql",instance="a"}': "0x90",
                'slipway_server_up{server="postgresql",instance="b"}': "1x90",
            },
            {'slipway_server_up{server="redis"}': "0x90"},
        ),
    ),
    Case(
        "SlipwayRedisUnreachable",
        {'slipway_server_up{server="broker"}': "0x90"},
        1,
        (
            {'slipway_server_up{server="broker"}': "1x90"},
            {'slipway_server_up{server="postgresql"}': "0x90"},
        ),
        {"server": "broker"},
    ),
    standing("SlipwayPublishingRefused", "slipway_stream_refused", 0, 1, 1, reason="full"),
    *(
        Case(
            alert,
            {"slipway_redis_memory_bytes": broken, "slipway_redis_memory_limit_bytes": "100x90"},
            comes,
            (
                {"slipway_redis_memory_bytes": well, "slipway_redis_memory_limit_bytes": "100x90"},
                {"slipway_redis_memory_bytes": broken, "slipway_redis_memory_limit_bytes": "0x90"},
            ),
        )
        for alert, broken, well, comes in (
            ("SlipwayRedisNearlyFull", "86x90", "84x90", 2),
            ("SlipwayRedisFilling", "71x90", "69x90", 10),
        )
    ),
    standing("SlipwayNoSynchronousStandby", "slipway_synchronous_standbys_missing", 0, 1, 1),
    standing("SlipwayNoSynchronousStandby", "slipway_commit_wait_seconds", 9, 11, 1),
    standing("SlipwayStreamEntriesLost", "slipway_entries_lost", 0, 3, 1),
    standing("SlipwayRedisNotDurable", "slipway_redis_append_only", 1, 0, 1),
    standing("SlipwayRedisNotDurable", "slipway_redis_noeviction", 1, 0, 1),
    *(
        Case(
            "SlipwayProcessMissing",
            {name: values for name, values in ALL_RUN.items() if f'"{missing}"' not in name},
            2,
            (ALL_RUN,),
            {"process": missing} if missing in ("gateway", "console", "beat") else {},
        )
        for missing in PROCESSES
    ),
    *(
        Case(
            alert,
            {requests(process, 500): "0+6x90", requests(process, 200): "0+94x90"},
            6,
            (
                {requests(process, 500): "0+4x90", requests(process, 200): "0+96x90"},
                {requests(process, 404): "0+50x90", requests(process, 200): "0+50x90"},
                {requests(process, 500): "0x90", requests(process, 200): "0x90"},
                {requests(other, 500): "0+6x90", requests(other, 200): "0+94x90"},
            ),
        )
        for alert, process, other in (
            ("SlipwayGatewayFailing", "gateway", "console"),
            ("SlipwayConsoleFailing", "console", "gateway"),
        )
    ),
    logged("SlipwayResultsNotRecorded", "error", "attempt_not_recorded"),
    logged("SlipwayResultsNotRecorded", "error", "results_not_recorded"),
    logged("SlipwayDatabaseErrorUnexplained", "warning", "unexplained_database_error"),
    *(
        logged("SlipwayInternalError", "error", event, event=event)
        for event in (
            *("response_not_read", "delivery_run_failed", "celery_queue_drain_failed"),
            *("event_refused_as_poison", "intake_failed", "parked_events_given_up"),
            *("request_failed", "request_build_failed"),
            *("ticket_left_as_it_is", "http_loop_failed"),
        )
    ),
    Case(
        "SlipwayEventsRejected",
        {f'{EVENTS}{{outcome="rejected"}}': "0+2x90", f'{EVENTS}{{outcome="applied"}}': "0+98x90"},
        16,
        (
            {
                f'{EVENTS}{{outcome="rejected"}}': "0+1x90",
                f'{EVENTS}{{outcome="applied"}}': "0+199x90",
            },
            {f'{EVENTS}{{outcome="rejected"}}': "0x90", f'{EVENTS}{{outcome="applied"}}': "0x90"},
        ),
    ),
    standing("SlipwayRejectedEventsOpen", "slipway_rejected_events", 0, 3, 60),
    standing("SlipwayEventsSuperseded", "slipway_superseded_events", 0, 1, 15),
    standing("SlipwayParkedEventsOverdue", "slipway_parked_overdue_seconds", 290, 310, 5),
    standing("SlipwayCircuitOpen", "slipway_circuit_open", 0, 1, 2, operator="acme"),
    Case(
        "SlipwayDoubtfulResponses",
        {f'{DOUBTS}{{operator="acme",doubt="balance_moved_otherwise"}}':
            "0x9 1x80"},
        10,
        (
            {f'{DOUBTS}{{operator="acme",doubt="ref_id_not_ours"}}': "7x90"},
            {f'{DOUBTS}{{operator="acme",doubt="ref_id_missing"}}': "0+9x90"},
        ),
        {"operator": "acme", "doubt": "balance_moved_otherwise"},
    ),
    Case(
        "SlipwayCreatesAbandoned",
        {'slipway_sweep_changes_total{change="creates_abandoned"}': "0x9 2x80"},
        10,
        (
            {'slipway_sweep_changes_total{change="creates_abandoned"}': "5x90"},
            {'slipway_sweep_changes_total{change="closed"}': "0+9x90"},
        ),
    ),
    Case(
        "SlipwayPartnerSlow",
        took(of_100_within_2500_ms=90, timeout=5),
        11,
        (took(of_100_within_2500_ms=100, timeout=5), took(of_100_within_2500_ms=90, timeout=30)),
        ACME,
    ),
    Case(
        "SlipwayOperatorDisabled",
        {ENABLED: "0x1500"},
        24 * 60,
        ({ENABLED: "1x1500"}, {ENABLED: "0x1400 1x100"}),
        ACME,
    ),
    Case(
        "SlipwayAccessExpires",
        {f"{ACCESS_EXPIRES}{ACME_ALONE}": f"{30 * 86400 + 3600}x90"},
        66,
        ({f"{ACCESS_EXPIRES}{ACME_ALONE}": f"{31 * 86400}x90"},),
        ACME,
    ),
    Case(
        "SlipwayTicketOnHold",
        {"slipway_tickets_oldest_on_hold_seconds": "0+60x5000"},
        3 * 24 * 60 + 5,
        (
            {"slipway_tickets_oldest_on_hold_seconds": "0x5000"},
            {"slipway_tickets_oldest_on_hold_seconds": "0+60x4319 0x600"},
        ),
    ),
    Case(
        "SlipwayJobStalled",
        {"slipway_job_stalled_seconds": "0+60x90"},
        15,
        (
            {"slipway_job_stalled_seconds": "0x90"},
            {"slipway_job_stalled_seconds": "0+60x12 0x70"},
        ),
    ),
    Case(
        "SlipwayScheduledTasksStuck",
        {
            'slipway_scheduled_tasks_total{task="deliver",outcome="waiting"}': "0+12x90",
            'slipway_scheduled_tasks_total{task="deliver",outcome="sent"}': "0x90",
        },
        6,
        (
            {
                'slipway_scheduled_tasks_total{task="deliver",outcome="waiting"}': "0+7x90",
                'slipway_scheduled_tasks_total{task="deliver",outcome="sent"}': "0+5x90",
            },
        ),
        {"task": "deliver"},
    ),
    Case(
        "SlipwayBeatStopped",
        {"slipway_beat_tick_timestamp_seconds": "0x90"},
        3,  # later than 60 s, for a minute
        ({"slipway_beat_tick_timestamp_seconds": "0+60x90"},),
    ),
    Case(
        "SlipwayStatsStale",
        {'slipway_stats_collected_timestamp_seconds{server="redis"}': "0x90"},
        5,
        (
            {'slipway_stats_collected_timestamp_seconds{server="redis"}': "0+60x90"},
            {
                'slipway_stats_collected_timestamp_seconds{server="redis",instance="a"}': "0x90",
                'slipway_stats_collected_timestamp_seconds{server="redis",instance="b"}': "0+60x90",
            },
        ),
        {"server": "redis"},
    ),
    standing("SlipwayOperatorsWithoutStats", "slipway_operators_without_stats", 0, 1, 15),
    standing("SlipwayClockSkew", "slipway_clock_skew_seconds", -1.5, -2.5, 2),
    standing("SlipwayStreamIdsAhead", "slipway_stream_ids_ahead_seconds", 1, 3600, 2),
    Case(
        "SlipwayCeleryQueueNotDrained",
        {f'{LINES}{{level="warning",event="celery_queue_not_drained"}}': "0+12x90"},
        6,
        (
            {f'{LINES}{{level="warning",event="celery_queue_not_drained"}}': "0x9 1x80"},
            {f'{LINES}{{level="warning",event="celery_queue_not_drained"}}': "3x90"},
        ),
    ),
    standing("SlipwayMisplacedMessages", "slipway_misplaced_messages", 0, 2, 5, queue="celery"),
    Case(
        "SlipwayRequestsRejected",
        {
            handled("POST", "/events", 401): "0+6x90",
            handled("POST", "/events", 202): "0+94x90",
        },
        19,  # twenty, and from then on for a quarter of an hour
        (
            {
                handled("POST", "/events", 401): "0+4x90",
                handled("POST", "/events", 202): "0+96x90",
            },
            {handled("POST", "/events", 401): "0+1x90"},
            {handled("GET", "/events/{id}", 401): "0+60x90"},
            {handled("POST", "/be/tickets", 404): "0+60x90"},
        ),
        {"route": "/events"},
    ),
    Case(
        "SlipwayGatewaySlow",
        {
            took_at_most("1"): "0+90x90",
            took_at_most("2.5"): "0+100x90",
            took_at_most("+Inf"): "0+100x90",
        },
        11,
        ({took_at_most("1"): "0+100x90", took_at_most("+Inf"): "0+100x90"},),
    ),
)  # fmt: skip
