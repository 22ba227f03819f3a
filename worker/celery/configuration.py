"""Celery's settings, each with its reason. A message is only a wakeup; PostgreSQL holds the truth.

They were measured with Celery 5.7, kombu 5.7 and redis-py 8.1: check them again with each upgrade.
Where a value is not the one those measurements recommend, its line starts with "Differs".
"""

import socket
from typing import Any, Final

from kombu.entity import Queue

from models.settings.process_settings import ProcessSettings
from models.settings.redis_address import (
    SentinelAddress,
    kombu_url,
    redis_tls,
    sentinel_address,
)
from worker.process.queues import DELIVER_QUEUE, INTAKE_QUEUE, SWEEP_QUEUE

# The lists whose length is exported, by queue: ours have one priority. Messages wait there only if
# no worker reads them.
BROKER_LISTS: Final = {DELIVER_QUEUE: [DELIVER_QUEUE], SWEEP_QUEUE: [SWEEP_QUEUE]}
DELIVER_INTERVAL: Final = 1.0  # seconds; the most that a lost wakeup can cost
# PostgreSQL connections of a worker: intake 2, sweep 1, delivery 2 (claims, records); some spare.
POOL_SIZE: Final = 4
_WAKEUP: Final = {"ignore_result": True}  # as the tasks say, which beat does not load


def configuration(settings: ProcessSettings) -> dict[str, Any]:
    """Return Celery's settings for *settings*, for `app.conf.update`."""
    return {
        **_messages(settings),
        **_worker(),
        **_connection(sentinel_address(settings.broker_url)),
        **_schedule(sweep_interval=settings.sweep_interval.total_seconds()),
    }


def _messages(settings: ProcessSettings) -> dict[str, Any]:
    tls = redis_tls(settings.broker_url)
    return {
        "broker_url": kombu_url(settings.broker_url),
        # Kombu alone verifies nothing at a rediss:// URL. Flower reads this one too.
        "broker_use_ssl": False if tls is None else tls.options(),
        "task_serializer": "json",
        "accept_content": ["json"],  # no message can make a worker unpickle anything
        # No result_backend: PostgreSQL knows the results, and result keys are how beats got wedged.
        "task_ignore_result": True,
        "task_queues": [  # objects: Flower cannot read the short form
            Queue(name, routing_key=name)  # type: ignore[no-untyped-call]  # kombu carries none
            for name in (INTAKE_QUEUE, DELIVER_QUEUE, SWEEP_QUEUE)
        ],
        "task_create_missing_queues": False,  # a typo in a queue's name fails loudly
        "task_routes": {
            "deliver": {"queue": DELIVER_QUEUE},
            "sweep": {"queue": SWEEP_QUEUE},
        },
        # A wakeup that cannot be sent is dropped soon; the schedule repeats it within a second.
        "task_publish_retry_policy": {
            "max_retries": 3,
            "interval_start": 0.1,
            "interval_step": 0.3,
            "interval_max": 1,
        },
        "task_send_sent_event": True,  # Flower shows a wakeup that no worker took
    }


def _worker() -> dict[str, Any]:
    return {
        "task_acks_late": True,  # a message outlives the worker that ran it
        "task_acks_on_failure": True,  # nothing to requeue: the row is still there
        "task_acks_on_timeout": True,
        "task_reject_on_worker_lost": False,  # alone it is a hot loop: 32 kills in 12 s
        # Differs (True): such a retry is a message with an ETA, and we use none. It would repeat a
        # wakeup, which the schedule repeats sooner than the retry's delay of seconds.
        "task_retry_on_worker_lost": False,
        # Only prefork pools can enforce it, and ours are threads: our tasks are bounded by the
        # timeout of every statement and request, and by the limits in the tasks themselves.
        "task_time_limit": 120,
        # No task_soft_time_limit: it raises at any bytecode, also in the middle of a commit.
        "worker_consumer": "worker.celery.consumer:PatientConsumer",
        "worker_concurrency": 1,  # the default is the host's number of CPUs; see Procfile
        "worker_prefetch_multiplier": 1,  # a prefetched wakeup ages, and the next one says the same
        "worker_disable_prefetch": False,  # we scale on rows and lag, not on the queue's length
        "worker_eta_task_limit": 200,  # bounds memory if another program sends an ETA; we send none
        "worker_enable_prefetch_count_reduction": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,  # never within a transaction
        "worker_soft_shutdown_timeout": 0.0,  # SIGTERM is warm: our tasks are short
        # No worker_max_tasks_per_child and no worker_max_memory_per_child: there are no children.
        "worker_enable_remote_control": True,
        "worker_send_task_events": True,  # Flower; it must not have to switch them on itself
        "worker_hijack_root_logger": False,  # worker/celery/signals.py sets logging up
        "worker_redirect_stdouts": False,
    }


def _connection(sentinels: SentinelAddress | None) -> dict[str, Any]:
    return {
        "broker_connection_retry_on_startup": True,  # a process may start before Redis
        "broker_connection_max_retries": None,  # indefinitely; readiness shows it meanwhile
        "broker_channel_error_retry": True,  # a failover answers READONLY: reconnect, do not exit
        "broker_transport_options": {
            # Longer than prefetch x task_time_limit. Without the schedule, the longest delay of a
            # wakeup after a SIGKILL.
            "visibility_timeout": 300,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,  # 10 x 10 s by default: checked only every 100 s
            "unacked_restore_limit": 200,  # None would restore all at once, in the event loop
            "unacked_mutex_expire": 60,  # how long a worker that dies restoring blocks the next
            "priority_steps": [0],  # one list per queue, so one LLEN tells its length
            "socket_timeout": 10,  # None: an ack on a dead connection waits indefinitely
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "socket_keepalive_options": _keepalive(idle=30, interval=5, count=3),
            "health_check_interval": 10,  # a stuck consumer recovers in about 30 s
            "max_connections": 20,
            "client_name": f"slipway@{socket.gethostname()}",
            # Without a broker a publisher fails within a second; with the defaults (2 s, 4 s) it
            # would still sleep when it is back. The worker's own reconnect does not use these.
            "max_retries": 2,
            "interval_start": 0.1,
            "interval_step": 0.2,
            "interval_max": 0.5,
            **_sentinels(sentinels),
            # Left unset: retry_on_timeout (a repeated LPUSH is a duplicate), polling_interval,
            # global_keyprefix (it does not cover every command), queue_order_strategy.
        },
    }


def _sentinels(address: SentinelAddress | None) -> dict[str, Any]:
    """Return what kombu and Flower need to ask sentinels for the primary."""
    if address is None:
        return {}
    seconds = {"socket_timeout": 5, "socket_connect_timeout": 5}
    return {
        "master_name": address.primary,
        "sentinel_kwargs": {**seconds, **address.sentinel_login, **address.encryption()},
    }


def _keepalive(*, idle: int, interval: int, count: int) -> dict[int, int]:
    """Return the options by their names on this system: macOS has another for the first."""
    first = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)
    options = {socket.TCP_KEEPINTVL: interval, socket.TCP_KEEPCNT: count}
    return options if first is None else {first: idle, **options}


def _schedule(*, sweep_interval: float) -> dict[str, Any]:
    return {
        "beat_scheduler": "worker.celery.beat:WakeupScheduler",
        "beat_max_loop_interval": 5,  # back soon after a hiccup of clock or broker
        "beat_schedule": {
            # No `expires`: the receiver's clock would decide, and a worker whose clock is ahead of
            # beat's would discard every wakeup. The scheduler sends none while one is waiting.
            "sweep": {"task": "sweep", "schedule": sweep_interval, "options": _WAKEUP},
            "deliver": {"task": "deliver", "schedule": DELIVER_INTERVAL, "options": _WAKEUP},
        },
    }
