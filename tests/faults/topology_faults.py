"""What happens to a primary of Redis while events are published, and who follows it."""

import os
import signal
from collections.abc import Callable
from typing import Final

from tests.support.publishing_load import Load
from tests.support.sentinels import Watched
from tests.support.wait import eventually, pause

DOWN_SECONDS: Final = 15.0  # until a server that was killed is started again
ALONE_SECONDS: Final = 5.0  # until a server without another is thawed
AFTERWARDS_SECONDS: Final = 3.0
# The phases of the load; tickets are named after them.
PLANNED, PAUSED, KILLED, RETURNED = "planned", "paused", "killed", "returned"
FROZEN, THAWED = "frozen", "thawed"
IN_WORDS: Final = {
    PLANNED: "planned failover",
    PAUSED: "planned failover, writes paused first",
    KILLED: "primary killed",
    RETURNED: "the killed primary returns",
    FROZEN: "primary frozen",
    THAWED: "the frozen primary goes on",
}

Act = Callable[[Watched, Load], None]


def planned(watched: Watched, load: Load) -> None:
    """Have the sentinels promote another; a server that is alone is restarted."""
    load.phase = PLANNED
    if len(watched.servers) == 1:
        (port,) = watched.servers
        pid = watched.pid(port)
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: watched.has_ended(port))
        watched.bring_back(port)
    else:
        watched.promote(paused=False)
    settle(watched)


def planned_with_pause(watched: Watched, load: Load) -> None:
    """Have the primary take no writes meanwhile."""
    if len(watched.servers) == 1:
        return
    load.phase = PAUSED
    watched.promote()
    settle(watched)


def killed_and_back(watched: Watched, load: Load) -> None:
    """Kill it without a warning; start it again, when another has long been promoted."""
    primary = watched.named()
    load.phase = KILLED
    os.kill(watched.pid(primary), signal.SIGKILL)
    pause(DOWN_SECONDS)
    load.phase = RETURNED
    watched.bring_back(primary)
    settle(watched)


def frozen_and_thawed(watched: Watched, load: Load) -> None:
    """Stop its process, as a host does that moves or swaps; let it go on after the failover."""
    primary = watched.named()
    pid = watched.pid(primary)
    load.phase = FROZEN
    os.kill(pid, signal.SIGSTOP)
    try:
        if len(watched.servers) == 1:
            pause(ALONE_SECONDS)
        else:
            eventually(lambda: watched.named() not in (0, primary))
            pause(AFTERWARDS_SECONDS)
        load.phase = THAWED
    finally:
        os.kill(pid, signal.SIGCONT)
    settle(watched)


def settle(watched: Watched) -> None:
    """Wait until all sentinels agree and each replica follows, and a little longer."""
    eventually(watched.all_know)
    pause(AFTERWARDS_SECONDS)


ACTS: Final[tuple[Act, ...]] = (planned, planned_with_pause, killed_and_back, frozen_and_thawed)
