"""Celery's settings are those that were measured; what differs says why where it is set."""

import re
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.app.defaults import NAMESPACES, flatten

from models.settings.settings import Settings
from tests.support.plain_settings import plain_settings
from worker.celery.configuration import configuration

MEASURED = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": False,
    "task_acks_on_failure": True,
    "task_acks_on_timeout": True,
    "task_ignore_result": True,
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": False,
    "worker_eta_task_limit": 200,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_channel_error_retry": True,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_enable_prefetch_count_reduction": True,
    "task_time_limit": 120,
    "worker_soft_shutdown_timeout": 0,
    "worker_enable_remote_control": True,
    "worker_send_task_events": True,
    "task_send_sent_event": True,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "task_create_missing_queues": False,
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_publish_retry_policy": {
        "max_retries": 3,
        "interval_start": 0.1,
        "interval_step": 0.3,
        "interval_max": 1,
    },
    "beat_max_loop_interval": 5,
}
MEASURED_TRANSPORT = {
    "visibility_timeout": 300,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "unacked_mutex_expire": 60,
    "unacked_restore_limit": 200,
    "priority_steps": [0],
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "max_connections": 20,
}
LEFT_UNSET = {
    "result_backend",
    "task_soft_time_limit",
    "worker_max_tasks_per_child",
    "worker_max_memory_per_child",
}
TRANSPORT_LEFT_UNSET = {
    "retry_on_timeout",
    "polling_interval",
    "global_keyprefix",
    "queue_order_strategy",
}
PROCFILE = Path(__file__).parents[2] / "Procfile"


@pytest.fixture
def settings() -> Settings:
    return plain_settings()


@pytest.fixture
def celery_settings(settings: Settings) -> dict[str, Any]:
    return configuration(settings)


def test_each_setting_is_as_measured(celery_settings):
    assert {name: celery_settings[name] for name in MEASURED} == MEASURED
    assert not LEFT_UNSET & celery_settings.keys()


def test_each_option_of_the_transport_is_as_measured(celery_settings):
    options = celery_settings["broker_transport_options"]

    assert {name: options[name] for name in MEASURED_TRANSPORT} == MEASURED_TRANSPORT
    assert options["client_name"].startswith("slipway@")
    assert sorted(options["socket_keepalive_options"].values()) == [3, 5, 30]
    assert not TRANSPORT_LEFT_UNSET & options.keys()


def test_no_setting_of_celery_makes_a_message_with_a_delay(celery_settings):
    """The one that differs from the measured table: its retry would be an ETA message."""
    assert celery_settings["task_retry_on_worker_lost"] is False


def test_celery_knows_every_setting(celery_settings):
    known = {name for name, _ in flatten(NAMESPACES)}

    assert celery_settings.keys() - known == set()


def test_the_visibility_timeout_outlasts_all_that_a_worker_may_hold(celery_settings):
    held = celery_settings["worker_prefetch_multiplier"] * celery_settings["task_time_limit"]

    assert celery_settings["broker_transport_options"]["visibility_timeout"] > 2 * held


def test_a_task_goes_to_its_declared_queue_and_nothing_else_is_sent(settings):
    app = Celery("test", set_as_current=False)
    app.conf.update(configuration(settings))

    assert set(app.amqp.queues) == {"intake", "deliver", "sweep"}
    for task in ("deliver", "sweep"):
        assert app.amqp.router.route({}, task)["queue"].name == task
    with pytest.raises(KeyError):
        app.send_task("mistyped")
    app.close()


def test_no_clock_decides_about_what_beat_sends(celery_settings):
    """A worker ahead of beat would discard whatever expires: no ticket would ever close."""
    for name, entry in celery_settings["beat_schedule"].items():
        assert entry["task"] == name
        assert not {"expires", "eta", "countdown"} & entry.get("options", {}).keys()


def test_the_sweep_runs_as_often_as_the_settings_say(settings):
    slower = settings.model_copy(update={"sweep_interval": settings.sweep_interval * 5})

    assert configuration(slower)["beat_schedule"]["sweep"]["schedule"] == 5


def test_every_worker_of_the_procfile_consumes_its_own_queue_with_threads(celery_settings):
    lines = PROCFILE.read_text(encoding="utf-8").splitlines()
    workers = [line for line in lines if " worker " in line and not line.startswith("#")]

    assert {line.partition(":")[0] for line in workers} == {
        queue.name for queue in celery_settings["task_queues"]
    }
    for line in workers:
        name = line.partition(":")[0]
        assert f"-n {name}@%h -Q {name} -P threads -c " in line
        assert line.endswith(" -E --without-gossip --without-mingle")


def test_the_procfile_has_every_process_and_no_address_of_its_own():
    text = PROCFILE.read_text(encoding="utf-8")
    names = re.findall(r"^(\w+):", text, flags=re.MULTILINE)

    assert names == [
        "release",
        "gateway",
        "console",
        "intake",
        "deliver",
        "sweep",
        "beat",
        "flower",
    ]
    assert "${SLIPWAY_GATEWAY_PORT:-8000}" in text
    assert "${SLIPWAY_CONSOLE_PORT:-8080}" in text
    assert "${SLIPWAY_FLOWER_PORT:-5555}" in text
    assert text.count("${SLIPWAY_KEEP_ALIVE_SECONDS:-75}") == 2
