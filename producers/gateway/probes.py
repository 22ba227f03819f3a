"""`/healthz` and `/readyz`: whether this process responds, and whether it can work."""

from fastapi import APIRouter
from pydantic import BaseModel

from producers.gateway.errors import retry_later
from producers.gateway.gateway import TheGateway
from producers.gateway.openapi import error_responses

routes = APIRouter(tags=["Probes"])


class ProbeStatus(BaseModel):
    """`alive` or `ready`."""

    status: str


@routes.get("/healthz", operation_id="healthz", responses={500: error_responses()[500]})
async def healthz() -> ProbeStatus:
    """The process responds. It says nothing about the servers it uses."""
    return ProbeStatus(status="alive")


@routes.get("/readyz", operation_id="readyz", responses=error_responses())
def readyz(gateway: TheGateway) -> ProbeStatus:
    """PostgreSQL responds with a recent enough schema, and Redis accepts events; otherwise 503."""
    if faults := gateway.readiness.faults():
        raise retry_later("; ".join(faults))
    return ProbeStatus(status="ready")
