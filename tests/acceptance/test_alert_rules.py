"""Rules judged by Prometheus' own tool: an hour in a moment."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.observed_queries import ALERTS, alerts
from tests.support.prometheus_server import NotToBeHad, find_programs

PARTNER_UNUSABLE = "slipway_partner_unusable"
REJECTED = "slipway_rejected_total"
EVENTS = "slipway_events_total"


@pytest.fixture
def promtool(pytestconfig: pytest.Config) -> str:
    cache = pytestconfig.cache
    assert cache is not None
    try:
        return str(find_programs(Path(cache.mkdir("prometheus"))).promtool)
    except NotToBeHad as why:
        pytest.skip(str(why))


def judged(promtool: str, folder: Path, **trial: Any) -> None:  # noqa: ANN401 - promtool's own form
    """Have promtool judge one trial; raise AssertionError with what it found otherwise."""
    file = folder / "trial.yml"
    whole = {"rule_files": [str(ALERTS)], "tests": [{"interval": "1m", **trial}]}
    file.write_text(yaml.safe_dump(whole), encoding="utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def fires(alert: str, *, at: str, description: str | None = None, **labels: str) -> dict[str, Any]:
    """What promtool shall find: the alert with these labels; without any, that it is silent."""
    (rule,) = (one for one in alerts() if one["alert"] == alert)
    summary = rule["annotations"]["summary"]
    for label, value in labels.items():
        summary = summary.replace(f"{{{{ $labels.{label} }}}}", value)
    words = rule["annotations"] | {"summary": summary}
    if description is not None:
        words |= {"description": description}
    expected = [{"exp_labels": rule["labels"] | labels, "exp_annotations": words}]
    return {"eval_time": at, "alertname": alert, "exp_alerts": expected}


def silent(alert: str, *, at: str) -> dict[str, Any]:
    return {"eval_time": at, "alertname": alert, "exp_alerts": []}


def test_a_partner_that_cannot_be_sent_to_calls_until_it_can_be(promtool, tmp_path):
    """For an hour, although the log told of it once; one deliverer of two is enough."""
    judged(
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


def test_events_that_are_refused_are_told_with_the_commonest_reason_and_its_door(
    promtool, tmp_path
):
    judged(
        promtool,
        tmp_path,
        input_series=[
            {"series": f'{EVENTS}{{outcome="rejected"}}', "values": "0+6x60"},
            {"series": f'{EVENTS}{{outcome="applied"}}', "values": "0+54x60"},
            {"series": f'{REJECTED}{{reason="not_json",door="queue"}}', "values": "0+5x60"},
            {"series": f'{REJECTED}{{reason="too_old",door="stream"}}', "values": "0+1x60"},
        ],
        alert_rule_test=[
            silent("SlipwayEventsRejected", at="10m"),
            fires(
                "SlipwayEventsRejected",
                at="40m",
                description="10% of the events of the last quarter of an hour were refused,"
                " most of them as not_json (door: queue).",
            ),
        ],
    )


def test_a_stream_that_takes_no_events_calls_with_the_reason(promtool, tmp_path):
    """All sweeps look; one that sees it is enough."""
    refused = "slipway_stream_refused"
    judged(
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
