"""Records the demo for the README, at four moments: `python -m worker.cli.demo.readme_pictures`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console, RenderableType

from models.vocabulary import Status
from worker.cli.demo import screen
from worker.cli.demo.run import DemoOptions, Draw, record_demo

README: Final = Path(__file__).parents[3] / "README.md"
BLOCK: Final = re.compile(r"(?<=<!-- demo: begin -->\n).*?(?=<!-- demo: end -->)", re.DOTALL)
_OPTIONS: Final = DemoOptions(
    tickets=240, seed=1, close_delay=timedelta(seconds=10), over=timedelta(seconds=15)
)
_WIDTH: Final = 92


@dataclass(slots=True)
class ScreenRecording:
    """The pictures for the README by their captions; the first of each kind is kept."""

    pictures: dict[str, str] = field(default_factory=dict)

    def note(self, picture: screen.Starting | screen.Frame) -> None:
        """Keep *picture* if it is the first of its kind."""
        if isinstance(picture, screen.Starting):
            return
        down = any(partner.probe_at is not None for partner in picture.partners)
        closed = picture.counts.tickets.get(Status.CLOSED, 0)
        if len(picture.closings) > 1 and not down and not closed:
            self._keep("Tickets are live, and the first close delays are running.", picture)
        elif down:
            self._keep("One partner is down; the other is not affected.", picture)
        elif closed and len(self.pictures) > 1:
            self._keep(
                "It is back: the waiting notices have been sent in order, and tickets close.",
                picture,
            )

    def _keep(self, caption: str, picture: screen.Frame) -> None:
        if caption not in self.pictures:
            self.pictures[caption] = as_text(screen.as_screen(picture))

    @contextmanager
    def canvas(self) -> Iterator[Draw]:
        """Draw on this recording."""
        yield self.note


def as_text(picture: RenderableType) -> str:
    """Return *picture* as lines of text without colours."""
    paper = Console(file=StringIO(), width=_WIDTH, markup=False, highlight=False, emoji=False)
    with paper.capture() as drawn:
        paper.print(picture)
    return "\n".join(line.rstrip() for line in drawn.get().splitlines())


def main() -> None:
    """Run the demo, and replace the pictures in the README by those recorded."""
    recording = ScreenRecording()
    verdict = record_demo(_OPTIONS, recording.canvas)
    recording.pictures["The verdict."] = as_text(screen.as_verdict(verdict))
    blocks = [
        f"{caption}\n\n```console\n{text}\n```\n" for caption, text in recording.pictures.items()
    ]
    page = README.read_text(encoding="utf-8")
    README.write_text(BLOCK.sub(lambda _: "\n" + "\n".join(blocks) + "\n", page), encoding="utf-8")


if __name__ == "__main__":
    main()
