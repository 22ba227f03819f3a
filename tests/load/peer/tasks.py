"""The peer, as most would write it: a Celery task per event, a countdown per close, a POST each.

Written fairly: rows of the same content, unique keys, row locks, one commit a task, tasks that are
acknowledged when they are done, one HTTP client kept per process, two processes for two cores. It
knows no order, no repeats beyond its keys, no leases and no circuits.

PEER_DATABASE, PEER_REDIS, PEER_SINK (empty: it delivers and closes nothing) and PEER_CLOSE_DELAY
(seconds) say what to work with.
"""

import hashlib
import hmac
import json
import os
import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

import requests
from celery import Celery
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session, sessionmaker

from tests.load.peer.rows import Event, Notice, Ticket

QUEUE = "peer"
SECRET = b"12345ABCDE"
SINK = os.environ.get("PEER_SINK", "")

app = Celery("peer", broker=os.environ.get("PEER_REDIS"))
app.conf.update(
    task_default_queue=QUEUE,
    task_ignore_result=True,
    task_acks_late=True,
    worker_hijack_root_logger=False,
)


@cache
def sessions() -> sessionmaker[Session]:
    """Sessions of this process; made after the fork."""
    return sessionmaker(create_engine(os.environ["PEER_DATABASE"], pool_size=1))


@cache
def client() -> requests.Session:
    """The HTTP client of this process, its connection kept."""
    return requests.Session()


@app.task  # type: ignore[untyped-decorator]  # Celery carries no types
def apply(event: dict[str, Any]) -> None:
    """Put an event in force."""
    data = event["data"]
    with sessions().begin() as session:
        ticket = session.scalar(
            select(Ticket)
            .where(Ticket.operator == data["operator"], Ticket.ticket_id == data["ticket_id"])
            .with_for_update()
        )
        if ticket is None:
            ticket = Ticket(operator=data["operator"], ticket_id=data["ticket_id"])
            session.add(ticket)
        ticket.status, ticket.result = "resulted", "won"
        ticket.settled_at = datetime.fromisoformat(event["occurred_at"])
        session.flush()
        session.add(
            Event(
                ticket=ticket.id,
                event_id=event["event_id"],
                action=event["action"],
                data=data,
                occurred_at=ticket.settled_at,
            )
        )
        notice = Notice(ticket=ticket.id, action=event["action"], body=_body(event["action"], data))
        session.add(notice)
        session.flush()
        notice_id, settled = notice.id, ticket.id
    if SINK:
        deliver.delay(notice_id)
        close.apply_async((settled,), countdown=float(os.environ["PEER_CLOSE_DELAY"]))


@app.task(autoretry_for=(requests.RequestException,), retry_backoff=True)  # type: ignore[untyped-decorator]  # as above
def deliver(notice_id: int) -> None:
    """Notify the partner."""
    with sessions().begin() as session:
        notice = session.get_one(Notice, notice_id)
        stamp = str(int(time.time() * 1000))
        body = notice.body.encode()
        signature = hmac.new(SECRET, stamp.encode() + body, hashlib.sha256).hexdigest()
        answer = client().post(
            SINK,
            data=body,
            headers={
                "content-type": "application/json",
                "timestamp": stamp,
                "signature": signature,
            },
            timeout=5,
        )
        answer.raise_for_status()
        notice.status = answer.status_code
        notice.delivered_at = datetime.now(UTC)  # noqa: TID251 - the peer asks its own clock


@app.task  # type: ignore[untyped-decorator]  # as above
def close(ticket_id: int) -> None:
    """Close a ticket, whose delay is over."""
    with sessions().begin() as session:
        ticket = session.get_one(Ticket, ticket_id, with_for_update=True)
        if ticket.status != "resulted":
            return
        ticket.status = "closed"
        ticket.closed_at = session.scalar(select(func.now()))
        data = {"operator": ticket.operator, "ticket_id": ticket.ticket_id}
        notice = Notice(ticket=ticket.id, action="ticket_closed", body=_body("ticket_closed", data))
        session.add(notice)
        session.flush()
        notice_id = notice.id
    deliver.delay(notice_id)


def _body(action: str, data: dict[str, Any]) -> str:
    return json.dumps({"action": action, "data": data}, separators=(",", ":"))
