"""Rules checked by Prometheus' own tool: an hour in a moment."""

import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.alert_cases import CASES, Case
from tests.support.observed_queries import ALERTS, alerts
from tests.support.prometheus_server import Unavailable, find_programs

PAGES = "https://pages.example/slipway"
LATER = 20  # so many minutes after an alert would have come, it still must not
STEP = 3
PARTNER_UNUSABLE = "slipway_partner_unusable"
REJECTED = "slipway_events_rejected_total"
EVENTS = "slipway_events_total"


@pytest.fixture
def promtool(pytestconfig: pytest.Config) -> str:
    cache = pytestconfig.cache
    assert cache is not None
    try:
        return str(find_programs(Path(cache.mkdir("prometheus"))).promtool)
    except Unavailable as why:
        pytest.skip(str(why))


def check_rules(promtool: str, folder: Path, **trial: Any) -> None:  # noqa: ANN401 - promtool's own form
    """Have promtool check one trial; raise AssertionError with what it found otherwise."""
    pages = {"slipway_docs": PAGES}
    trials = [{"interval": "1m", "external_labels": pages, **trial}]
    _judge(promtool, _written(folder / "trial.yml", {"rule_files": [str(ALERTS)], "tests": trials}))


def _written(file: Path, whole: dict[str, Any]) -> Path:
    file.write_text(yaml.safe_dump(whole), encoding="utf-8")
    return file


def _judge(promtool: str, *files: Path) -> None:
    done = subprocess.run(
        [promtool, "test", "rules", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def bare_rules(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Each alert's rule by itself, without its words, which are checked elsewhere.

    No rule reads what another one says, and promtool would ask all of them in each minute.
    """
    folder = tmp_path_factory.mktemp("rules")
    files = {}
    for rule in alerts():
        bare = {name: of_it for name, of_it in rule.items() if name != "annotations"}
        groups = [{"name": "alone", "rules": [bare]}]
        files[rule["alert"]] = _written(folder / f"{rule['alert']}.yml", {"groups": groups})
    return files


def test_there_is_a_case_for_each_alert():
    assert {case.alert for case in CASES} == {rule["alert"] for rule in alerts()}


def test_no_rule_reads_what_another_one_says():
    assert [rule["alert"] for rule in alerts() if "ALERTS" in rule["expr"]] == []
    assert {"alert"} == {name for rule in alerts() for name in rule if name in ("alert", "record")}


def test_each_alert_fires_when_it_must_and_neither_earlier_nor_otherwise(
    promtool, tmp_path, bare_rules
):
    """All in one run: promtool names the alert, the minute, and what it found."""
    trials: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for case in CASES:
        trials[case.alert] += _trials(case)
    files = [
        _written(tmp_path / f"{alert}.yml", {"rule_files": [str(bare_rules[alert])], "tests": own})
        for alert, own in trials.items()
    ]
    _judge(promtool, *files)


def _trials(case: Case) -> Iterator[dict[str, Any]]:
    (labels,) = (rule["labels"] for rule in alerts() if rule["alert"] == case.alert)
    came = {"alertname": case.alert, "exp_alerts": [{"exp_labels": labels | case.labels}]}
    yield _trial(
        case.broken,
        silent(case.alert, at=f"{case.comes - 1}m"),
        {"eval_time": f"{case.comes}m", **came},
    )
    minutes = range(1, case.comes + LATER, STEP)
    for alike in case.alike:
        yield _trial(alike, *(silent(case.alert, at=f"{minute}m") for minute in minutes))


def _trial(series: dict[str, str], *expected: dict[str, Any]) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": list(expected),
    }


def fires(alert: str, *, at: str, description: str | None = None, **labels: str) -> dict[str, Any]:
    """What promtool shall find: the alert with these labels; without any, that it is silent."""
    (rule,) = (rule for rule in alerts() if rule["alert"] == alert)
    summary = rule["annotations"]["summary"]
    for label, value in labels.items():
        summary = summary.replace(f"{{{{ $labels.{label} }}}}", value)
    words = rule["annotations"] | {"summary": summary}
    words["runbook_url"] = f"{PAGES}/RUNBOOK.md#{alert.lower()}"
    if description is not None:
        words |= {"description": description}
    expected = [{"exp_labels": rule["labels"] | labels, "exp_annotations": words}]
    return {"eval_time": at, "alertname": alert, "exp_alerts": expected}


def silent(alert: str, *, at: str) -> dict[str, Any]:
    return {"eval_time": at, "alertname": alert, "exp_alerts": []}


def test_an_unusable_partner_fires_until_it_is_usable(promtool, tmp_path):
    """For an hour, although the log told of it once; one deliverer of two is enough."""
    check_rules(
        promtool,
        tmp_path,
        input_series=[
            {
                "series": f'{PARTNER_UNUSABLE}{{operator="acme",instance="a"}}',
                "values": "1x60 0x10",
            },
            {"series": f'{PARTNER_UNUSABLE}{{operator="acme",instance="b"}}', "values": "0x70"},
        ],
        alert_rule_test=[
            fires("SlipwayPartnerUnusable", at="5m", operator="acme"),
            fires("SlipwayPartnerUnusable", at="60m", operator="acme"),
            silent("SlipwayPartnerUnusable", at="65m"),
        ],
    )


def test_rejected_events_fire_with_the_most_frequent_reason_and_its_channel(promtool, tmp_path):
    check_rules(
        promtool,
        tmp_path,
        input_series=[
            {"series": f'{EVENTS}{{outcome="rejected"}}', "values": "0+6x60"},
            {"series": f'{EVENTS}{{outcome="applied"}}', "values": "0+54x60"},
            {"series": f'{REJECTED}{{reason="not_json",channel="queue"}}', "values": "0+5x60"},
            {"series": f'{REJECTED}{{reason="too_old",channel="stream"}}', "values": "0+1x60"},
        ],
        alert_rule_test=[
            silent("SlipwayEventsRejected", at="10m"),
            fires(
                "SlipwayEventsRejected",
                at="40m",
                description="10% of the events of the last 15 minutes were rejected,"
                " most of them as not_json (channel: queue).",
            ),
        ],
    )


def test_a_stream_that_refuses_events_fires_with_the_reason(promtool, tmp_path):
    """All sweeps look; one that sees it is enough."""
    refused = "slipway_stream_refused"
    check_rules(
        promtool,
        tmp_path,
        input_series=[
            {"series": f'{refused}{{reason="wrong_type",instance="a"}}', "values": "1x10 0x10"},
            {"series": f'{refused}{{reason="wrong_type",instance="b"}}', "values": "0x20"},
            {"series": f'{refused}{{reason="full",instance="a"}}', "values": "0x20"},
        ],
        alert_rule_test=[
            fires("SlipwayPublishingRefused", at="5m", reason="wrong_type"),
            silent("SlipwayPublishingRefused", at="15m"),
        ],
    )


def test_an_open_circuit_fires_with_its_cause(promtool, tmp_path):
    check_rules(
        promtool,
        tmp_path,
        input_series=[
            {"series": 'slipway_circuit_open{operator="acme"}', "values": "1x20"},
            {"series": 'slipway_circuit_cause{operator="acme",cause="redirect"}', "values": "1x20"},
            {"series": 'slipway_circuit_cause{operator="bravo",cause="tls"}', "values": "1x20"},
        ],
        alert_rule_test=[
            fires(
                "SlipwayCircuitOpen",
                at="5m",
                operator="acme",
                description="Only probes are sent. Cause: redirect."
                " `slipway operators status acme` names the remedy."
                " No attempt is used up meanwhile.",
            )
        ],
    )


def test_an_open_circuit_says_where_the_partner_redirects_to(promtool, tmp_path):
    target = "https://new.example/hook?(masked)"
    redirect = f'slipway_circuit_redirect{{operator="acme",target="{target}"}}'
    check_rules(
        promtool,
        tmp_path,
        input_series=[
            {"series": 'slipway_circuit_open{operator="acme"}', "values": "1x20"},
            {"series": 'slipway_circuit_cause{operator="acme",cause="redirect"}', "values": "1x20"},
            {"series": redirect, "values": "1x20"},
        ],
        alert_rule_test=[
            fires(
                "SlipwayCircuitOpen",
                at="5m",
                operator="acme",
                description=f"Only probes are sent. Cause: redirect. It redirects to {target}."
                " `slipway operators status acme` names the remedy."
                " No attempt is used up meanwhile.",
            )
        ],
    )


def test_an_undelivered_notice_fires_with_its_age(promtool, tmp_path):
    """At a partner whose other tickets go through, and whose circuit is closed."""
    check_rules(
        promtool,
        tmp_path,
        input_series=[
            {
                "series": 'slipway_notices_oldest_undelivered_seconds{operator="acme"}',
                "values": "0+60x90",
            },
            {"series": 'slipway_operator_enabled{operator="acme"}', "values": "1x90"},
        ],
        alert_rule_test=[
            fires(
                "SlipwayNoticeUndelivered",
                at="75m",
                operator="acme",
                description="Its oldest undelivered notice has waited for 1h 15m 0s. Other notices"
                " may have been delivered meanwhile; its circuit may be open or closed.",
            ),
            silent("SlipwayNoticeUndelivered", at="59m"),
        ],
    )
