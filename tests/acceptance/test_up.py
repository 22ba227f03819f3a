"""`slipway up`: all processes from nothing installed, a second terminal, a clean stop."""

import json
import signal
import socket
import stat
import subprocess

import pytest

from tests.support.processes import processes_of
from tests.support.processes_by_environment import inheritors_of
from tests.support.running_slipway import running_slipway
from tests.support.server_folders import passable_folder
from worker.local.servers.ports import LOOPBACK


@pytest.mark.slow
def test_up_serves_a_second_terminal_and_stops_cleanly():
    with passable_folder() as folder:
        with running_slipway(folder, subprocess.Popen) as slipway:
            listed = json.loads(slipway.command("operators list --json"))
            running = " ".join(inheritors_of(folder))
            slipway.process.send_signal(signal.SIGTERM)
            code = slipway.process.wait()

        assert code == 0, slipway.screen.read_text()
        assert listed == []
        for kept in ("environment", "secret-key"):
            assert stat.S_IMODE((slipway.data / kept).stat().st_mode) == 0o600
        assert all(name in running for name in ("uvicorn", "intake@", "deliver@", "sweep@", "beat"))
        assert (processes_of(folder), inheritors_of(folder)) == ([], [])
        assert {path.name for path in folder.iterdir()} == {"data", "screen"}


@pytest.mark.slow
def test_the_addresses_of_the_first_start_hold_for_the_next_one():
    """What another terminal read is still right; a port that is taken is named with the new one."""
    with passable_folder() as folder:
        with running_slipway(folder) as slipway:
            first = (slipway.data / "environment").read_text()
            gateway, redis = slipway.gateway_url(), slipway.redis_url()
        taken = int(gateway.rpartition(":")[2])
        with socket.socket() as another:
            another.bind((LOOPBACK, taken))
            another.listen()
            with running_slipway(folder) as slipway:
                second = (slipway.data / "environment").read_text()
                screen, moved = slipway.screen.read_text(), slipway.gateway_url()

    assert second == first
    assert redis.startswith("redis://default:")
    assert f"SLIPWAY_GATEWAY_PORT: port {taken} of the last start is taken" in screen
    assert f"using {moved.rpartition(':')[2]} instead" in screen
