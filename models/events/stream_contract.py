"""What a publisher and the intake agree on: the stream, the fields of its entries, their limits.

The JSON in the field `event` is in `models.events.format`; the form of its times, which every
interface takes alike, in `models.platform.timestamps`.
"""

from typing import Final

STREAM: Final = "ticket-events"
GROUP: Final = "slipway"  # the consumer group that reads it

# The fields of an entry.
EVENT_FIELD: Final = b"event"
TYPE_FIELD: Final = b"type"  # what `event` holds; without this field, an event in our own format
OPERATOR_FIELD: Final = b"operator"  # whose lottery message it is
TRACEPARENT_FIELD: Final = b"traceparent"  # the trace it belongs to (W3C Trace Context)

# The values of `type`.
CELERY_TYPE: Final = b"CELERY"  # a message that was moved from the Celery queue `tickets`
LOTTERY_TYPE: Final = b"LOTTERY_V2"

ADD_COMMAND: Final = f"XADD {STREAM} * {EVENT_FIELD.decode()} '<json>'"

EVENT_BYTES_MAX: Final = 256 * 1024
# Base64 adds a third to an event, and the message's headers come on top.
CELERY_MESSAGE_BYTES_MAX: Final = 2 * EVENT_BYTES_MAX
ID_CHARACTERS_MAX: Final = 64  # event_id, operator, ticket_id, ticket_code
MINOR_UNITS_MAX: Final = 10**15  # of one amount, in the currency's minor unit
