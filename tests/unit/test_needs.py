"""What a process of Celery needs, by its command line."""

import pytest

from models.settings.errors import InvalidSettings
from models.settings.settings import (
    Settings,
    read_process_settings,
    read_settings,
    read_worker_settings,
)
from worker.celery.needs import read_settings_for

DATABASE = "SLIPWAY_DATABASE_URL"
KEY = "SLIPWAY_SECRET_KEY"


@pytest.fixture(autouse=True)
def redis_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SLIPWAY_{name.upper()}", raising=False)
    monkeypatch.setenv("SLIPWAY_REDIS_URL", "redis://cache:6379/0")
    for read in (read_settings, read_worker_settings, read_process_settings):
        read.cache_clear()


@pytest.mark.parametrize("command", ["beat", "flower --port=5555", "inspect ping", ""])
def test_without_a_worker_redis_is_enough(command: str) -> None:
    settings = read_settings_for(["-A", "worker.app", *command.split()])

    assert settings.broker_url == "redis://cache:6379/0"
    read_process_settings.cache_clear()


@pytest.mark.parametrize(
    ("queues", "missing"),
    [
        ("-Q intake", {DATABASE}),
        ("-Qsweep", {DATABASE}),
        ("--queues=intake,sweep", {DATABASE}),
        ("-Q deliver", {DATABASE, KEY}),
        ("--queues intake,deliver", {DATABASE, KEY}),
        ("-c 1", {DATABASE, KEY}),  # all queues
    ],
)
def test_a_worker_needs_the_database_and_to_deliver_the_key(queues: str, missing: set[str]) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        read_settings_for(["worker", "-n", "here@%h", *queues.split(), "-P", "threads"])

    assert {problem.partition(" ")[0] for problem in refusal.value.problems} == missing


def test_all_problems_are_in_one_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_REDIS_URL", "http://cache")
    monkeypatch.setenv("SLIPWAY_CHUNKSIZE", "7")

    with pytest.raises(InvalidSettings) as refusal:
        read_settings_for(["worker", "-Q", "deliver"])

    named = {problem.partition(" ")[0].rstrip(":") for problem in refusal.value.problems}
    assert named == {"SLIPWAY_CHUNKSIZE", DATABASE, "SLIPWAY_REDIS_URL", KEY}


def test_what_is_no_setting_stops_beat_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_PARTNER_TIMEUOT", "3s")

    with pytest.raises(InvalidSettings, match="nearest one is SLIPWAY_PARTNER_TIMEOUT"):
        read_settings_for(["beat"])
