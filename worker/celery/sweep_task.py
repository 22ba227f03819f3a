"""The Celery task `sweep`, sent by beat every SLIPWAY_SWEEP_INTERVAL."""

import logging
import time
from datetime import timedelta
from typing import Any, Final

from models.database.errors import UNEXPLAINED, Blame, blame
from models.platform.timestamps import format_timestamp
from models.sweeps.heartbeat import Round, store_round
from worker.celery import dependencies as wiring
from worker.celery.application import app
from worker.process.outage import Outage
from worker.sweep.round import Sweep, Swept
from worker.sweep.watermark import StreamWatermark

log = logging.getLogger(__name__)
_blind: Final = Outage(log, "sweep_without_horizon", "sweep_has_horizon")


@app.task(name="sweep")  # type: ignore[untyped-decorator]  # Celery carries no types
def sweep(**_newer: object) -> dict[str, Any]:
    """Sweep once; give the counts, which Flower shows. An outage is waited out by later rounds."""
    began = time.monotonic()
    try:
        swept = Sweep(
            transaction=wiring.engine().begin,
            clock=wiring.clock(),
            sight=StreamWatermark(wiring.redis_client()),
            settings=wiring.settings(),
        ).round()
        _keep(swept)
    except Exception as error:
        whose = blame(error)
        if whose is Blame.CONTENT:
            raise
        event = UNEXPLAINED if whose is Blame.UNCLEAR else "sweep_waits_for_database"
        log.warning(event, extra={"error": type(error).__name__})
        return {"waits_for": "database"}
    wiring.sweep_metrics().swept(swept, took=timedelta(seconds=time.monotonic() - began))
    if swept.due:
        wiring.hints().notices_due()
    if swept.horizon is None:
        _blind.failed("no horizon")
    else:
        _blind.over()
    return {
        "closed": swept.closed,
        "windows_ended": swept.windows_ended,
        "creates_abandoned": swept.creates_abandoned,
        "forgotten": swept.forgotten,
        "secrets_forgotten": swept.secrets_forgotten,
        "horizon": swept.horizon and format_timestamp(swept.horizon),
    }


def _keep(swept: Swept) -> None:
    """Leave word that the clock is kept: an alert watches how old it is."""
    with wiring.engine().begin() as connection:
        now = wiring.clock().now(connection)
        store_round(connection, Round(ended_at=now, horizon=swept.horizon))
