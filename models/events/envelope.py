"""The envelope in which kombu puts a message on a Redis list (celery-on-redis.md 5.1)."""

from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, StringConstraints, with_config
from typing_extensions import TypedDict  # Pydantic reads the standard one only from 3.12 on

Tag = Annotated[str, StringConstraints(min_length=1)]
_AS_IT_IS = ConfigDict(strict=True, extra="allow")


@with_config(_AS_IT_IS)
class DeliveryInfo(TypedDict):
    """Where kombu sent it; a worker of Celery's own could not return a message without it."""

    exchange: str
    routing_key: str


@with_config(_AS_IT_IS)
class Properties(TypedDict):
    """What kombu itself needs of a message."""

    delivery_tag: Tag
    delivery_info: DeliveryInfo


# Written as a call, for the hyphens in its names.
Envelope = TypedDict(
    "Envelope",
    {
        "body": str,
        "content-type": str,
        "content-encoding": NotRequired[str | None],
        "headers": dict[str, Any],
        "properties": Properties,
    },
)
with_config(_AS_IT_IS)(Envelope)
