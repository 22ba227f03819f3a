"""kombu's Redis transport, hardened: no outage and no malformed message ends a worker.

Measured on kombu 5.7 and Celery 5.7 (deploy/decisions/0007-hardened-transport.md): a worker with an
unacknowledged message exits when Redis goes away, and one malformed message in a list can end every
worker that reads it. Both are fixed here; drop this module when a release fixes them. And while
Redis is full of events, the wakeups that get them delivered still go through.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty
from typing import Any, Final

from kombu.transport import TRANSPORT_ALIASES, _transport_cache, virtual
from kombu.transport import redis as kombu_redis
from kombu.utils.json import dumps
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError
from redis.retry import Retry

from worker.celery import consumer
from worker.celery.message_validation import WAKEUP_BYTES_MAX, validate
from worker.process.cluster_client import refuse_cluster
from worker.process.outage import Outage, reason_of
from worker.process.queues import DEAD_LETTERS
from worker.process.sentinel_client import EncryptedPrimaryConnection, PrimaryConnection

log = logging.getLogger(__name__)

DEAD_LETTERS_MAX: Final = 10_000
_REASON_MAX: Final = 500
# For wakeups, which are small and let Redis free memory: its memory limit does not apply to them.
_PUSH: Final = "#!lua flags=allow-oom\nreturn redis.call('LPUSH', KEYS[1], ARGV[1])"
_BIND: Final = """#!lua flags=allow-oom
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('SADD', KEYS[2], ARGV[1])
"""
_unrestored: Final = Outage(log, "messages_not_restored", "messages_restored_again")
_unrecorded: Final = Outage(log, "messages_not_recorded", "messages_recorded_again")
REPLIES: Final = ".reply.celery.pidbox"  # to control commands (of Flower): no tasks


class PatientQoS(kombu_redis.QoS):
    """Leaves messages in place while Redis is unavailable: the visibility timeout returns them.

    A refusal by Redis (full, read-only, without replicas, a key of another type …) is no reason to
    reconnect. A taken message is then known to this process alone, and lost with it.
    """

    def append(self, message: Any, delivery_tag: str) -> None:  # noqa: ANN401 - kombu's signature
        """Take a message, even if Redis refuses to record that."""
        try:
            super().append(message, delivery_tag)
        except ResponseError as error:
            _unrecorded.failed(reason_of(error))
            virtual.QoS.append(self, message, delivery_tag)
        else:
            _unrecorded.over()

    def restore_visible(self, start: int = 0, num: int = 10, interval: int = 10) -> None:
        """Restore what other workers left unacknowledged; if Redis refuses, later."""
        try:
            super().restore_visible(start, num, interval)
        except ResponseError as error:
            _unrestored.failed(reason_of(error))
        else:
            _unrestored.over()

    def restore_unacked(self, client: Any = None) -> None:  # noqa: ANN401 - kombu's signature
        """Restore the taken messages; those that cannot be restored now come back by themselves."""
        try:
            super().restore_unacked(client)
        except Exception as error:  # noqa: BLE001 - an exception here ends the worker
            log.warning("messages_left_unacked", extra={"error": type(error).__name__})
            self._delivered.clear()

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge; on a closed channel raise what Celery logs and survives."""
        with self._leaving(delivery_tag):
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Reject; on a closed channel as `ack`."""
        with self._leaving(delivery_tag):
            super().reject(delivery_tag, requeue=requeue)

    @contextmanager
    def _leaving(self, delivery_tag: str) -> Iterator[None]:
        """No longer count the message as taken, even if Redis cannot be reached.

        Otherwise it would keep its place indefinitely, and a worker with one place would stop.
        """
        self._require_open_channel()
        try:
            yield
        except ResponseError as error:  # it stays in `unacked`, and comes back by itself
            _unrecorded.failed(reason_of(error))
            virtual.QoS.ack(self, delivery_tag)
        except self.channel.connection.connection_errors:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def _require_open_channel(self) -> None:
        transport = self.channel.connection
        if transport is None or transport.client is None:
            raise RedisConnectionError("the channel is closed; the message will be delivered again")


class CheckedChannel(kombu_redis.Channel):
    """Validates messages before kombu and Celery read them; malformed ones are dead-lettered."""

    QoS = PatientQoS

    def _put(self, queue: str, message: dict[str, Any], **more: Any) -> None:  # noqa: ANN401 - kombu's signature
        try:
            super()._put(queue, message, **more)
        except OutOfMemoryError:  # one wakeup waits at a time, so they do not accumulate
            key = self._q_for_pri(queue, self._get_message_priority(message, reverse=False))
            with self.conn_or_acquire() as client:
                client.eval(_PUSH, 1, key, dumps(message))

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - kombu's signature
        """Connect to single servers only: on a cluster every queue would be on another node."""
        return {**super()._connparams(asynchronous), "redis_connect_func": refuse_cluster}

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        try:
            super()._queue_bind(exchange, routing_key, pattern, queue)
        except OutOfMemoryError:
            tables = (self.keyprefix_queue, self.keyprefix_binding_permanent)
            keys = [table % (exchange,) for table in tables]
            member = self.sep.join([routing_key or "", pattern or "", queue or ""])
            with self.conn_or_acquire() as client:
                client.eval(_BIND, len(keys), *keys, member)

    def _brpop_read(self, **options: Any) -> bool:  # noqa: ANN401 - kombu's signature
        try:
            reply = self._parse_brpop(**options)
            consumer.broker_replied()
            if not reply:
                raise Empty
            queue, item = reply
            queue = queue.decode().rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            try:
                envelope = json.loads(item) if queue.endswith(REPLIES) else validate(item)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is dead-lettered
                self._dead_letter(queue, item, error)
            else:
                self.connection._deliver(envelope, queue)  # noqa: SLF001 - as kombu's own does
            return True
        finally:
            self._in_poll = None  # type: ignore[assignment]  # as kombu does: no BRPOP is running
            self._flush_brpop_reauth()

    def close(self) -> None:
        """Close; the connections too if Redis refuses an earlier command."""
        try:
            super().close()
        except (RedisError, OSError) as error:
            log.debug("channel_closed", extra={"error": reason_of(error)})
            with suppress(RedisError, OSError):
                virtual.Channel.close(self)
        finally:
            self._disconnect_pools()
            self._close_clients()

    def _parse_brpop(self, **options: Any) -> Any:  # noqa: ANN401 - what redis-py parses
        try:
            return self.client.parse_response(self.client.connection, "BRPOP", **options)
        except self.connection_errors:
            self.client.connection.disconnect()
            raise

    def _dead_letter(self, queue: str, item: bytes, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"[:_REASON_MAX]
        log.error("malformed_message", extra={"queue": queue, "error": reason})
        message = item[:WAKEUP_BYTES_MAX].decode("utf-8", "backslashreplace")
        letter = {"queue": queue, "reason": reason, "bytes": len(item), "message": message}
        try:
            with self.conn_or_acquire() as client:
                client.lpush(DEAD_LETTERS, json.dumps(letter))
                client.ltrim(DEAD_LETTERS, 0, DEAD_LETTERS_MAX - 1)
        except ResponseError as refusal:  # full, or a key of another type; the log has a part of it
            log.warning(
                "malformed_message_not_stored",
                extra={"begins": message[:_REASON_MAX], "error": reason_of(refusal)},
            )


class HardenedTransport(kombu_redis.Transport):
    """kombu's transport with the two classes above; the URL scheme stays `redis://`."""

    Channel = CheckedChannel

    def establish_connection(self) -> Any:  # noqa: ANN401 - kombu's signature
        """Connect. A server that only answers with an error counts as unavailable."""
        try:
            return super().establish_connection()
        except ResponseError as error:  # BUSY, NOPERM …: for kombu these are not connection errors
            raise RedisConnectionError(str(error)) from error


class CheckedSentinelChannel(CheckedChannel, kombu_redis.SentinelChannel):
    """The checked channel, which asks sentinels for the primary whenever it connects.

    And when the primary refuses for want of replicas: it may be one no longer.
    """

    connection_class = PrimaryConnection
    connection_class_ssl = EncryptedPrimaryConnection  # type: ignore[assignment]  # kombu has a twin

    def _sentinel_managed_pool(self, asynchronous: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - kombu's signature
        # Each sentinel is asked once; redis-py's own retries take a minute where one is down.
        options: dict[str, Any] = self.sentinel_kwargs  # type: ignore[has-type]  # a transport option
        self.sentinel_kwargs = {**options, "retry": Retry(NoBackoff(), 0)}
        return super()._sentinel_managed_pool(asynchronous)


class HardenedSentinelTransport(HardenedTransport):
    """The same behind Sentinel; the URL scheme is kombu's `sentinel://`."""

    default_port = 26379  # type: ignore[assignment]  # kombu declares it as None
    Channel = CheckedSentinelChannel


_TRANSPORTS: Final = {
    "redis": HardenedTransport,
    "rediss": HardenedTransport,
    "sentinel": HardenedSentinelTransport,
}


def install() -> None:
    """Make every connection use it that this process makes from now on."""
    for scheme, transport in _TRANSPORTS.items():
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{transport.__name__}"
        _transport_cache.pop(scheme, None)  # who connected earlier had kombu's own kept there
