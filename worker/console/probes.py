"""`/healthz`, `/readyz` and `/metrics`: for supervisors and Prometheus; no proxy leads here."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from models.telemetry.http_requests import HttpMetrics
from worker.console.console import TheConsole

_UNAVAILABLE = 503

routes = APIRouter()


@routes.get("/healthz", include_in_schema=False)
async def healthz() -> dict[str, str]:
    """The process responds. It says nothing about the servers it uses."""
    return {"status": "alive"}


@routes.get("/readyz", include_in_schema=False)
def readyz(console: TheConsole) -> JSONResponse:
    """PostgreSQL responds with a recent enough schema; otherwise 503. Redis is not needed."""
    if fault := console.fault():
        return JSONResponse({"code": _UNAVAILABLE, "message": fault}, _UNAVAILABLE)
    return JSONResponse({"status": "ready"})


@routes.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Serve the metrics to Prometheus."""
    http_metrics: HttpMetrics = request.app.state.metrics
    return Response(generate_latest(http_metrics.registry), media_type=CONTENT_TYPE_LATEST)
