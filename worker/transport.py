"""kombu's Redis transport, hardened: an outage or a malformed message must not end a worker.

Measured on kombu 5.7 and Celery 5.7 (deploy/decisions/0007-hardened-transport.md): a worker with an
unacknowledged message exits when Redis goes away, and one malformed message in a list can end every
worker that reads it. Both are cured here; drop this module when a release cures them.
"""

import json
import logging
from base64 import b64decode
from queue import Empty
from typing import Any, Final

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis
from redis.exceptions import ConnectionError as RedisConnectionError

log = logging.getLogger(__name__)

DEAD_LETTERS: Final = "slipway.dead"  # a list: malformed messages to our own queues, as they came
DEAD_LETTERS_MAX: Final = 10_000
REPLIES: Final = ".reply.celery.pidbox"  # to control commands (Flower's questions): no tasks


class PatientQoS(kombu_redis.QoS):
    """Leaves messages where they are while Redis is away: the visibility timeout returns them."""

    def restore_unacked(self, client: Any = None) -> None:  # noqa: ANN401 - kombu's signature
        """Give back what is in hand; what cannot be given back now comes back by itself."""
        try:
            super().restore_unacked(client)
        except Exception as error:  # noqa: BLE001 - anything that gets out ends the worker
            log.warning("messages_left_unacked", extra={"error": type(error).__name__})
            self._delivered.clear()

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge; on a closed channel say so in a way that Celery logs and survives."""
        self._must_be_open()
        super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Reject; on a closed channel as `ack`."""
        self._must_be_open()
        super().reject(delivery_tag, requeue=requeue)

    def _must_be_open(self) -> None:
        transport = self.channel.connection
        if transport is None or transport.client is None:
            raise RedisConnectionError("the channel is closed; the message will be delivered again")


class CheckedChannel(kombu_redis.Channel):
    """Looks at a message's shape before kombu and Celery do; a malformed one is put aside."""

    QoS = PatientQoS

    def _brpop_read(self, **options: Any) -> bool:  # noqa: ANN401 - kombu's signature
        try:
            reply = self._popped(**options)
            if not reply:
                raise Empty
            queue, item = reply
            queue = queue.decode().rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            try:
                envelope = json.loads(item) if queue.endswith(REPLIES) else checked(item)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is put aside
                self._put_aside(queue, item, error)
            else:
                self.connection._deliver(envelope, queue)  # noqa: SLF001 - as kombu's own does
            return True
        finally:
            self._in_poll = None  # type: ignore[assignment]  # kombu's own way to say: not asked
            self._flush_brpop_reauth()

    def _popped(self, **options: Any) -> Any:  # noqa: ANN401 - what redis-py parses
        try:
            return self.client.parse_response(self.client.connection, "BRPOP", **options)
        except self.connection_errors:
            self.client.connection.disconnect()
            raise

    def _put_aside(self, queue: str, item: bytes, error: Exception) -> None:
        log.error("malformed_message", extra={"queue": queue, "error": repr(error)[:200]})
        with self.conn_or_acquire() as client:
            client.lpush(DEAD_LETTERS, item)
            client.ltrim(DEAD_LETTERS, 0, DEAD_LETTERS_MAX - 1)


class HardenedTransport(kombu_redis.Transport):
    """kombu's transport with the two above; the URL scheme stays `redis://`."""

    Channel = CheckedChannel


def checked(item: bytes) -> dict[str, Any]:
    """The envelope in *item*. Raises, whatever it is, where kombu or Celery would choke on it."""
    envelope: dict[str, Any] = json.loads(item)
    properties, headers = envelope["properties"], envelope["headers"]
    if not (properties["delivery_tag"] and headers["task"] and headers["id"]):
        raise ValueError("delivery_tag, task and id must not be empty")
    _ = properties["delivery_info"]["exchange"], properties["delivery_info"]["routing_key"]
    body = envelope["body"]
    if properties.get("body_encoding") == "base64":
        body = b64decode(body)
    if envelope.get("content-type") == "application/json":
        args, kwargs, _embed = json.loads(body)
        if not (isinstance(args, list) and isinstance(kwargs, dict)):
            raise TypeError("the body must be [args, kwargs, embed]")
    return envelope


def install() -> None:
    """Make every connection of this process use it; call before the first is made."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{HardenedTransport.__name__}"
