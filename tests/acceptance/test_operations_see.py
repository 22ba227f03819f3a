"""What operations see of a running system: metrics, alerts, dashboards, Flower, logs, doctor."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.support.free_port import free_port
from tests.support.monitored_stack import PASSWORD, SECRET, TICKETS, WatchedSlipway, watched_slipway
from tests.support.observed_queries import ALERTS, alert_parts, metrics_of, panel_queries
from tests.support.plain_http import NO_AUTHORITIES
from tests.support.prometheus_server import (
    Prometheus,
    Unavailable,
    find_programs,
    running_prometheus,
)
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually

CONNECTIONS = """
    SELECT regexp_replace(application_name, ' [0-9][^ ]*$', ''), count(*) FROM pg_stat_activity
     WHERE application_name LIKE 'slipway %' GROUP BY 1"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def watched() -> Iterator[WatchedSlipway]:
    with pytest.MonkeyPatch.context() as environment, passable_folder() as folder:
        environment.setenv("FLOWER_BASIC_AUTH", ":".join(PASSWORD))
        environment.setenv("FLOWER_UNAUTHENTICATED_API", "true")
        environment.setenv("FLOWER_READ_ONLY", "false")
        with watched_slipway(folder) as running:
            yield running


@pytest.fixture(scope="module")
def prometheus(
    watched: WatchedSlipway, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    cache = pytestconfig.cache
    assert cache is not None
    try:
        programs = find_programs(Path(cache.mkdir("prometheus")))
    except Unavailable as why:
        pytest.skip(str(why))
    targets = {name: url.split("/")[2] for name, url in watched.pages.items()}
    with running_prometheus(
        programs,
        tmp_path_factory.mktemp("prometheus"),
        port=free_port(),
        rules=ALERTS,
        targets=targets,
    ) as running:
        eventually(lambda: len(running.ask("up == 1")) == len(targets))
        yield running


def test_a_real_prometheus_reaches_every_process(watched, prometheus):
    """First of all: it watches while the other tests go on."""
    assert len(prometheus.ask("up == 1")) == len(watched.pages)


def test_every_kind_of_process_names_itself(watched):
    for process in watched.pages:
        (build,) = watched.metrics(process)["slipway_build_info"]
        assert build[0]["process"] == process
        assert build[0]["version"] != "unknown"


def test_work_is_counted_once_by_the_process_that_did_it(watched):
    def counted() -> bool:
        assert watched.value("intake", "slipway_events_total") == TICKETS + 4
        assert watched.value("intake", "slipway_events_total", outcome="parked") == 1
        assert watched.value("intake", "slipway_events_total", action="unreadable") == 1
        assert watched.value("intake", "slipway_intake_batch_entries_sum") == TICKETS + 4
        assert (
            watched.value("deliver", "slipway_delivery_attempts_total", operator="acme") == TICKETS
        )
        assert (
            watched.value(
                "deliver", "slipway_delivery_attempt_duration_seconds_count", operator="acme"
            )
            == TICKETS
        )
        assert watched.value("sweep", "slipway_sweep_rounds_total", watermark="known") > 0
        assert watched.value("beat", "slipway_scheduled_tasks_total", outcome="sent") > 0
        return True

    eventually(counted)


def test_the_sweep_exports_the_stats_of_the_servers(watched):
    """As its last survey saw it, a second ago."""

    def shown() -> bool:
        figures = watched.metrics("sweep")
        stands = {name: samples[0][1] for name, samples in figures.items() if len(samples) == 1}
        assert stands["slipway_parked_events"] == 1
        assert stands["slipway_stream_entries"] == 0
        assert stands["slipway_redis_append_only"] == 1
        assert stands["slipway_sweep_last_round_age_seconds"] < 30
        assert ({"status": "resulted"}, TICKETS + 1) in figures["slipway_tickets"]
        assert ({"operator": "busy"}, 1.0) in figures["slipway_operator_enabled"]
        assert all(value == 1 for _, value in figures["slipway_server_up"])
        return True

    eventually(shown)


def test_the_gateway_counts_requests_by_route_not_by_path(watched):
    for path in ("/healthz", "/no/such/page", "/another/one", "/tickets/T1"):
        httpx.get(watched.gateway + path, timeout=30, verify=NO_AUTHORITIES)

    answers = watched.metrics("gateway")["slipway_http_requests_total"]
    routes = {labels["route"]: labels["status"] for labels, _ in answers}
    assert routes["/healthz"] == "200"
    assert routes["(unmatched)"] == "404"
    assert routes["/tickets/{ticket_id}"] == "401"
    assert not any("T1" in route or "such" in route for route in routes)


def test_no_process_has_more_connections_than_its_pools(watched):
    """deploy/README.md, *Connections to PostgreSQL*."""
    # It connects when it is asked something that needs the database, and a key does.
    response = httpx.get(
        f"{watched.gateway}/tickets/T1", headers={"X-Api-Key": "unknown"}, timeout=30
    )

    with psycopg.connect(watched.slipway.database_url()) as connection:
        opened: dict[str, int] = dict(connection.execute(CONNECTIONS).fetchall())

    assert response.status_code == 401
    assert {"slipway gateway", "slipway intake", "slipway deliver", "slipway sweep"} <= set(opened)
    assert opened["slipway stats"] == 1
    assert all(count <= 4 for name, count in opened.items() if name != "slipway gateway")
    assert opened["slipway gateway"] <= 16


def test_every_metric_of_a_panel_or_an_alert_is_exported(watched):
    exported = {name for process in watched.pages for name in watched.metrics(process)}
    queried = {
        metric for _, query in (*panel_queries(), *alert_parts()) for metric in metrics_of(query)
    }

    assert queried - exported == set()


def test_flower_shows_nothing_without_its_password(watched):
    for page in ("/", "/tasks", "/broker", "/api/workers", "/api/tasks", "/api/queues/length"):
        assert httpx.get(watched.flower + page, timeout=30).status_code == 401
        assert httpx.get(watched.flower + page, auth=PASSWORD, timeout=30).status_code == 200


def test_flower_changes_nothing_even_with_its_password(watched):
    for page in ("/api/task/send-task/sweep", "/api/worker/shutdown/sweep@x"):
        answer = httpx.post(watched.flower + page, auth=PASSWORD, json={}, timeout=30)
        assert answer.status_code == 403


def test_flower_shows_batches_deliveries_and_sweeps_with_their_sizes(watched):
    def shown() -> bool:
        tasks = httpx.get(f"{watched.flower}/api/tasks", auth=PASSWORD, timeout=30).json().values()
        ended = [(task["name"], task["kwargs"], task["result"]) for task in tasks]
        batches = sum(
            int(kwargs.strip("{}").split(": ")[1]) for name, kwargs, _ in ended if name == "intake"
        )
        assert batches == TICKETS + 4
        assert any(
            name == "deliver" and "'delivered': " in (result or "") for name, _, result in ended
        )
        assert any(name == "sweep" and "'closed': 0" in (result or "") for name, _, result in ended)
        return True

    eventually(shown)


def test_flower_shows_no_payload_and_no_secret(watched):
    pages = ["/", "/tasks", "/broker", "/api/workers?refresh=1", "/api/tasks", "/metrics"]
    pages += [f"/worker/{name}@{host}" for name, host in _workers(watched)]
    text = "".join(
        httpx.get(watched.flower + page, auth=PASSWORD, timeout=30).text for page in pages
    )

    password_of_redis = watched.slipway.redis().get_connection_kwargs()["password"]
    assert "intake@" in text
    for secret in (SECRET, PASSWORD[1], password_of_redis, "ticket_win"):
        assert secret not in text
    assert not re.search(r"\bT1\b", text), "a ticket, and not a time like 20T10:15"


def test_a_ticket_can_be_followed_through_the_logs_to_the_partners_answer(watched):
    def followed() -> list[str]:
        return [
            line["event"]
            for line in watched.lines()
            if (line.get("operator"), line.get("ticket_id")) == ("acme", "T7")
        ]

    eventually(lambda: followed() == ["event_decided", "notice_sent", "attempt_recorded"])

    lines = {line["event"]: line for line in watched.lines() if line.get("ticket_id") == "T7"}
    assert lines["event_decided"]["event_id"] == "ticket_win-T7"
    assert lines["event_decided"]["outcome"] == "applied"
    assert lines["notice_sent"]["notice_id"] == lines["attempt_recorded"]["notice_id"]
    assert lines["attempt_recorded"]["http_status"] == 200


def test_the_logs_are_json_and_hold_no_secret(watched):
    screen = watched.slipway.screen.read_text()

    for secret in (SECRET, PASSWORD[1]):
        assert secret not in screen
    assert {"celery", "kombu", "worker"} & {
        line["logger"].split(".")[0] for line in watched.lines()
    }


def test_the_doctor_finds_no_fault_in_a_running_system(watched):
    assert "nothing is wrong" in watched.slipway.command("doctor")


def test_no_query_of_a_panel_or_an_alert_is_empty_in_a_real_prometheus(watched, prometheus):
    queries = [*panel_queries(), *alert_parts()]

    def every_query_answers() -> bool:
        assert [(where, query) for where, query in queries if not prometheus.ask(query)] == []
        return True

    eventually(every_query_answers)


def test_prometheus_accepts_the_alerts_and_none_pages_on_a_healthy_system(watched, prometheus):
    def evaluated() -> bool:
        groups = prometheus.get("rules")["groups"]
        return all(rule["health"] == "ok" for group in groups for rule in group["rules"])

    eventually(evaluated)

    alerts = prometheus.get("alerts")["alerts"]
    about = {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
    # One partner answers 503 to everything, two events of 34 were refused.
    assert about <= {"SlipwayPartnerDown", "SlipwayEventsRejected", "SlipwayRejectedEventsOpen"}


def _workers(watched: WatchedSlipway) -> list[tuple[str, str]]:
    names = httpx.get(f"{watched.flower}/api/workers", auth=PASSWORD, timeout=30).json()
    return [(name.split("@")[0], name.split("@")[1]) for name in names]
