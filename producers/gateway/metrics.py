"""The gateway's metrics, served to Prometheus."""

from typing import Final

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from models.telemetry.http_requests import HttpMetrics

PATH: Final = "/metrics"
_UNAUTHORIZED: Final = 401

routes = APIRouter()


@routes.get(PATH, include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Serve the metrics to Prometheus; the ingress does not lead here."""
    gateway_metrics: HttpMetrics = request.app.state.metrics
    return Response(generate_latest(gateway_metrics.registry), media_type=CONTENT_TYPE_LATEST)


def new_metrics() -> HttpMetrics:
    """Create the metrics of one gateway process."""
    return HttpMetrics("gateway", zeroes=[("POST", _UNAUTHORIZED)])
