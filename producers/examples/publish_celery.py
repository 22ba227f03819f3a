"""Publish events as Celery tasks, one per line: python publish_celery.py < events.ndjson."""  # noqa: INP001 - to copy, no package

import json
import os
import ssl
import sys
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

URL = os.environ["SLIPWAY_REDIS_URL"]
VERIFIED = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}

app = Celery("backend", broker=URL, set_as_current=False)
# Without it, kombu verifies nothing, and any server on that port gets the password.
app.conf.broker_use_ssl = VERIFIED if URL.startswith("rediss:") else False


def publish(event: dict[str, Any]) -> None:
    """Send a task named after the action: its id is the event id, its arguments are the data."""
    app.send_task(
        event["action"],
        kwargs={**event["data"], "occurred_at": event["occurred_at"]},
        task_id=event["event_id"],
        queue="tickets",  # without it: the queue "celery", which Slipway does not read
        ignore_result=True,
    )


if __name__ == "__main__":
    published = 0
    try:
        for line in sys.stdin:
            publish(json.loads(line))
            published += 1
    except OperationalError as error:
        sys.exit(f"not on the queue after {published}: {error}; send the same again")
    print(f"published {published}")  # noqa: T201 - its result
