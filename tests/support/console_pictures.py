"""Takes the pictures of the console for the README: `python -m tests.support.console_pictures`.

A whole system runs for a minute: one partner refuses the notices of some tickets, the other one is
down. Chromium signs in and takes five pages; a palette makes their files small.
"""

import io
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from PIL import Image
from sqlalchemy import text

from models.users import Role
from producers.publisher import Publisher
from producers.simulation.backends import play
from producers.simulation.partner import Respond, Rule
from producers.simulation.stories import StoryPace, stories
from tests.support.browser import ConsoleBrowser, Tab, open_browser
from tests.support.console_system import ACME, BETSY, PLAYER, ConsoleSystem, console_system
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually, pause
from worker.console.addresses import path_of

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "worker/console/pictures"
SIZE: Final = (1180, 860)
COLOURS: Final = 64
SETTLING_MS: Final = 600
LIVES: Final = 120
TICKET: Final = "6249979066121753900"
DEAD: Final = 23
PACE: Final = StoryPace(
    result_seconds=(0.2, 1.0), rollback_seconds=(0.2, 1.0), next_result_seconds=(0.2, 0.5)
)
PAGES: Final[Mapping[str, str]] = {
    "overview": "/",
    "ticket": path_of("tickets", ACME, TICKET),
    "notices": "/notices",
    "partner": path_of("partners", BETSY),
    "system": "/system",
}
# The sweep stores a minute after it has ended; a plot of one minute would show nothing.
EARLIER: Final = text("""
    INSERT INTO partner_minute (operator, minute, delivered, failed, p50_ms, p99_ms, max_ms)
    SELECT o.id, date_trunc('minute', now()) - n * interval '1 minute',
           CASE WHEN o.code = 'betsy' AND n < 12 THEN 0 ELSE 180 + (n * 37) % 90 END,
           CASE WHEN o.code = 'betsy' AND n < 12 THEN 4 WHEN n % 17 = 0 THEN 6 ELSE (n % 5) / 4 END,
           18 + (n * 7) % 9, 60 + (n * 13) % 40, 130 + (n * 29) % 80
      FROM operator o, generate_series(2, 175) AS n
        ON CONFLICT DO NOTHING""")
KNOWN: Final = text("""
    UPDATE plot_progress SET minutes_since = now() - interval '3 hours' WHERE id = 1""")


def main() -> int:
    """Run the system, take the pictures, and say what was written."""
    with passable_folder() as folder, open_browser() as browser, console_system(folder) as system:
        play_out(system)
        sys.stdout.write("\n".join(take(system, browser)) + "\n")
    return 0


def play_out(system: ConsoleSystem) -> None:
    """Let tickets live, until there is something of everything that a person looks at."""
    system.publish(ACME, "ticket_open", TICKET, player_id=PLAYER, price=500, currency="EUR")
    system.partners[ACME].behave(Rule(Respond(503), ticket_id=TICKET, first=1))
    system.publish(ACME, "ticket_win", TICKET, player_id=PLAYER, gross_payout=1250)
    publisher = Publisher.at(system.slipway.redis_url())
    lives = stories(LIVES, operators=[ACME, BETSY], seed=3, lives_per_second=LIVES / 6, pace=PACE)
    play(list(lives), publisher, wait=_wait)
    publisher.close()
    system.make_dead([str(6249979066122000000 + 7919 * number) for number in range(DEAD)])
    system.publish(ACME, "ticket_rollback", "6249979066122999999")
    system.publish(ACME, "ticket_loose", "6249979066123999999")
    system.partners[BETSY].behave(Rule(Respond(503, body=b"down for maintenance")))
    system.publish(BETSY, "ticket_win", *(str(6249979066131000000 + n) for n in range(40)))
    eventually(lambda: len(system.received(ACME, TICKET)) > 1, within=timedelta(seconds=60))
    system.refuse(TICKET)
    system.publish(ACME, "ticket_rollback", TICKET, player_id=PLAYER)
    eventually(lambda: system.dead() > DEAD, within=timedelta(seconds=60))
    with system.engine.begin() as connection:
        connection.execute(EARLIER)
        connection.execute(KNOWN)


def _wait(seconds: float) -> bool:
    pause(seconds)
    return False


def take(system: ConsoleSystem, browser: ConsoleBrowser) -> list[str]:
    """Take all pages; a line for each."""
    FOLDER.mkdir(exist_ok=True)
    with browser.tab(system.url, size=SIZE) as tab:
        tab.sign_in("support", system.passwords[Role.SUPPORT])
        return [_take(tab, name, path) for name, path in PAGES.items()]


def _take(tab: Tab, name: str, path: str) -> str:
    tab.open(path)
    tab.page.wait_for_timeout(SETTLING_MS)  # plots take their width after the first frame
    file = FOLDER / f"{name}.png"
    file.write_bytes(reduced(tab.page.screenshot()))
    return f"{file.relative_to(ROOT)}: {file.stat().st_size / 1024:.0f} KiB"


def reduced(png: bytes) -> bytes:
    """Give a picture of a page a palette: it has few colours."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    small = io.BytesIO()
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


if __name__ == "__main__":
    sys.exit(main())
