"""File probes: alive, ready, and a private folder."""

import logging
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from worker.celery import signals
from worker.process import health
from worker.process.health import Probes


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def names() -> set[str]:
    return {file.name for file in health.folder().iterdir()}


def test_a_worker_is_ready_from_its_start_until_it_is_stopping():
    signals.heartbeat_sent(SimpleNamespace(eventer=SimpleNamespace(hostname="intake@pod")))
    signals.worker_ready(SimpleNamespace(hostname="intake@pod"))

    assert names() == {"intake@pod.alive", "intake@pod.ready"}

    signals.worker_stopping("intake@pod")

    assert names() == {"intake@pod.alive"}


def test_each_turn_touches_the_alive_file(tmp_path: Path):
    probes = Probes(tmp_path / "probes", "beat")
    probes.alive()
    file = tmp_path / "probes" / "beat.alive"
    long_ago = 1_000_000_000
    os.utime(file, (long_ago, long_ago))

    probes.alive()

    assert file.stat().st_mtime > long_ago


def test_the_folder_is_for_its_owner_alone():
    health.probes("beat").alive()

    assert stat.S_IMODE(health.folder().stat().st_mode) == 0o700


def test_a_folder_of_another_user_is_not_used(tmp_path: Path, caplog):
    (tmp_path / "elsewhere").mkdir()
    folder = tmp_path / "probes"
    folder.symlink_to(tmp_path / "elsewhere")

    with caplog.at_level(logging.WARNING):
        Probes(folder, "beat").alive()

    assert not list((tmp_path / "elsewhere").iterdir())
    assert caplog.messages == ["probe_not_written"]


def test_a_probe_that_cannot_be_removed_is_logged_and_not_raised(tmp_path: Path, caplog):
    (tmp_path / "probes").write_text("a file where the folder should be")

    with caplog.at_level(logging.WARNING):
        Probes(tmp_path / "probes", "beat").not_ready()

    assert caplog.messages == ["probe_not_removed"]
