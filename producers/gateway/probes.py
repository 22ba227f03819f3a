"""`/healthz` and `/readyz`: whether this process answers, and whether it can do its work."""

from fastapi import APIRouter
from pydantic import BaseModel

from producers.gateway.errors import later
from producers.gateway.gateway import TheGateway
from producers.gateway.openapi import answers

routes = APIRouter(tags=["Probes"])


class ProbeStatus(BaseModel):
    """`alive` or `ready`."""

    status: str


@routes.get("/healthz", operation_id="healthz", responses={500: answers()[500]})
async def healthz() -> ProbeStatus:
    """This process answers. Says nothing about the servers behind it."""
    return ProbeStatus(status="alive")


@routes.get("/readyz", operation_id="readyz", responses=answers())
def readyz(gateway: TheGateway) -> ProbeStatus:
    """PostgreSQL answers with a schema new enough, and Redis would take an event; else 503."""
    if faults := gateway.readiness.faults():
        raise later("; ".join(faults))
    return ProbeStatus(status="ready")
