"""Events from Python, one a line: python publish.py < events.ndjson."""  # noqa: INP001 - to copy, no package

import json
import os
import sys
from datetime import datetime

from producers.publisher import OutgoingEvent, Publisher, PublishError, event


def read(line: str) -> OutgoingEvent:
    """Build an event as a backend does: its id and its time are fixed before the first try."""
    said = json.loads(line)
    return event(
        said["action"],
        said["data"],
        occurred_at=datetime.fromisoformat(said["occurred_at"]),
        event_id=said["event_id"],
    )


if __name__ == "__main__":
    publisher = Publisher.at(os.environ["SLIPWAY_REDIS_URL"])
    try:
        ids = publisher.publish_many([read(line) for line in sys.stdin if line.strip()])
    except PublishError as refusal:
        sys.exit(f"not on the stream: {refusal}; send the same again")
    finally:
        publisher.close()
    print(f"published {len(ids)}")  # noqa: T201 - its result
