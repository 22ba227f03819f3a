"""The queries of alerts and dashboards, read from their files."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import yaml

from tests.support.sources import ROOT

ALERTS: Final = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARDS: Final = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
_METRIC: Final = re.compile(r"\b((?:slipway|process|python)_[a-z_]+)\b")
# Words of ours that stand in a query and are no metric's name.
_LABELS: Final = re.compile(r'"[^"]*"')
_SETS: Final = re.compile(r" (?:and|or|unless)(?: on \([a-z, ]*\))? ")
_COMPARED: Final = re.compile(r" (>|<|==|!=|>=|<=) ")


@cache
def alerts() -> tuple[dict[str, Any], ...]:
    """The alerts, as their file has them."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return tuple(rule for group in groups for rule in group["rules"])


def panel_queries() -> Iterator[tuple[str, str]]:
    """Each panel's queries, with the variables of Grafana filled in: its name, and the query."""
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", ()):
                query = target["expr"].replace("$__rate_interval", "1m")
                yield f"{file.name}: {panel['title']}", query.replace("$operator", "acme")


def alert_parts() -> Iterator[tuple[str, str]]:
    """The parts of each alert that have a value also while all is well.

    What a comparison lets through only when it is true becomes 0 or 1, sides of `and`, `or` and
    `unless` stand alone, and of `absent(…)` what should be there is left.
    """
    for alert in alerts():
        for part in _SETS.split(alert["expr"]):
            query = re.sub(r"^absent\((.*)\)$", r"\1", part.strip())
            yield alert["alert"], _COMPARED.sub(r" \1 bool ", query)


def metrics_of(query: str) -> set[str]:
    """The names of the metrics in *query*."""
    return set(_METRIC.findall(_LABELS.sub("", query)))
