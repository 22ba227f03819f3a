"""What calls a person says what to do; what Prometheus and Grafana are given is whole."""

import json
import re

import pytest
import yaml

from models.outbox.causes import Cause
from tests.support.observed_queries import (
    DASHBOARDS,
    alert_parts,
    alerts,
    metrics_of,
    panel_queries,
)
from tests.support.sources import ROOT
from worker.cli.application import Slipway

RUNBOOK = (ROOT / "deploy" / "RUNBOOK.md").read_text(encoding="utf-8")
METRICS = (ROOT / "worker" / "metrics" / "README.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE)
PAGES_LEAST = 10


def test_each_alert_has_a_section_in_the_runbook_and_each_section_an_alert():
    assert sorted(SECTIONS) == sorted(alert["alert"] for alert in alerts())


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_has_a_summary_a_severity_and_a_runbook_section(alert):
    assert alert["labels"]["severity"] in {"page", "warning"}
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert page == "{{ $externalLabels.slipway_docs }}/RUNBOOK.md"
    assert anchor in {section.lower() for section in SECTIONS}
    assert anchor == alert["alert"].lower()
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"].endswith(".")


def test_prometheus_knows_where_the_pages_are_and_serves_them():
    """Else `runbook_url` is no link."""
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    service = compose["services"]["prometheus"]
    (folder,) = (
        word.partition("=")[2]
        for word in service["command"]
        if word.startswith("--web.console.templates=")
    )

    assert prometheus["global"]["external_labels"]["slipway_docs"].endswith(":9090/consoles")
    assert f"./RUNBOOK.md:{folder}/RUNBOOK.md:ro" in service["volumes"]


def test_the_table_of_promises_names_every_alert_and_every_part_of_the_promises():
    table = RUNBOOK.partition("## Which alert sees which broken promise")[2]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("| ") and not line.startswith("| promise")
    ]
    promises = (ROOT / "producers" / "PROMISES.md").read_text(encoding="utf-8")

    assert {row[0] for row in rows if row[0]} == set(
        re.findall(r"^## (.+)$", promises, re.MULTILINE)
    )
    named = {name for row in rows for name in row[2].split(", ")}
    assert named == {alert["alert"] for alert in alerts()}
    assert all(len(row) == len(("promise", "break", "alert", "after")) and row[3] for row in rows)


def test_the_table_of_causes_has_each_of_them():
    assert re.findall(r"^\| `(\w+)` \|", RUNBOOK, re.MULTILINE) == [str(cause) for cause in Cause]


def test_enough_of_them_page():
    pages = [alert for alert in alerts() if alert["labels"]["severity"] == "page"]

    assert len(pages) >= PAGES_LEAST
    assert RUNBOOK.index("## Pages") < RUNBOOK.index(f"### {pages[0]['alert']}")


def test_a_step_of_the_runbook_names_commands_that_exist():
    named = set(re.findall(r"`slipway (\w+)", RUNBOOK))
    assert named <= set(Slipway.table)


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.name)
def test_a_dashboard_has_a_place_and_a_number_for_each_panel(file):
    board = json.loads(file.read_text(encoding="utf-8"))
    panels = board["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_the_dashboards_ask_the_source_that_is_provisioned():
    provisioned = ROOT / "deploy" / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    (source,) = yaml.safe_load(provisioned.read_text())["datasources"]

    source_ids = {
        target["datasource"]["uid"]
        for file in DASHBOARDS
        for panel in json.loads(file.read_text())["panels"]
        for target in panel.get("targets", ())
    }
    assert source_ids == {source["uid"]}


def test_every_metric_that_is_queried_is_explained():
    metrics = {
        re.sub(r"_(bucket|sum|count)$", "", metric)
        for _, query in (*panel_queries(), *alert_parts())
        for metric in metrics_of(query)
        if metric.startswith("slipway_")
    }
    assert {metric for metric in metrics if f"`{metric}`" not in METRICS} == set()
