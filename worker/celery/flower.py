"""Flower's settings, which it reads as `--conf=worker/celery/flower.py`; each with its reason.

A name here is the option of that name, and wins over Flower's own variable for it. All the rest
may be set with those, above all `FLOWER_BASIC_AUTH=user:password` (several: commas). The pages
`/metrics` and `/healthcheck` ask for no password, whatever is set: keep them off the ingress.

`FLOWER_URL_PREFIX=/flower` serves all pages below that path, which the proxy in front passes on;
`FLOWER_CERTFILE` and `FLOWER_KEYFILE` (PEM) serve them over TLS. Probes know both.
"""

import os
import sys
from datetime import UTC, datetime
from logging import getLogger

from models.settings.errors import InvalidSettings
from models.settings.settings import read_process_settings
from models.telemetry import logs
from worker.process.cluster_client import UnusableRedis
from worker.process.flower_pages import check_flower_pages
from worker.process.redis_client import check_redis_at_start

read_only = True  # changes are made with `slipway`, which records a name and a reason
enable_events = False  # the workers send events already; Flower would command all of them every 5 s
max_tasks = 2_000  # instead of 100,000: they are seconds old, and in memory, some 3 KiB each
max_workers = 1_000
purge_offline_workers = 300  # seconds; otherwise the names of deleted pods accumulate
tasks_columns = "name,state,kwargs,result,received,runtime,worker"  # sizes, not ids of wakeups

_settings = read_process_settings()
logs.configure(_settings, sys.stderr)
_log = getLogger("worker.celery.flower")
try:
    check_flower_pages(os.environ, now=datetime.now(UTC))  # noqa: TID251 - a process that starts
except InvalidSettings as _refusal:
    sys.stderr.write(f"slipway: {_refusal}\n")
    sys.exit(2)  # as for its other settings

try:
    check_redis_at_start(_settings, name="slipway-flower")
except UnusableRedis as _refusal:
    raise SystemExit(f"slipway: {_refusal}") from None
if os.environ.pop("FLOWER_UNAUTHENTICATED_API", None) is not None:
    _log.warning("flower_api_disabled", extra={"variable": "FLOWER_UNAUTHENTICATED_API"})
if "FLOWER_BASIC_AUTH" not in os.environ and _settings.bind_address not in {"127.0.0.1", "::1"}:
    _log.warning("flower_without_password", extra={"remedy": "set FLOWER_BASIC_AUTH=user:password"})
