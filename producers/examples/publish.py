"""Publish events from Python, one per line: python publish.py < events.ndjson."""  # noqa: INP001 - to copy, no package

import json
import os
import sys
from datetime import datetime

from producers.publisher import OutgoingEvent, Publisher, PublishError, event


def read(line: str) -> OutgoingEvent:
    """Build an event as a backend does, with its id and time fixed before the first try."""
    fields = json.loads(line)
    return event(
        fields["action"],
        fields["data"],
        occurred_at=datetime.fromisoformat(fields["occurred_at"]),
        event_id=fields["event_id"],
    )


if __name__ == "__main__":
    publisher = Publisher.at(os.environ["SLIPWAY_REDIS_URL"])
    try:
        ids = publisher.publish_many([read(line) for line in sys.stdin if line.strip()])
    except PublishError as error:
        sys.exit(f"not on the stream: {error}; send the same again")
    finally:
        publisher.close()
    print(f"published {len(ids)}")  # noqa: T201 - its result
