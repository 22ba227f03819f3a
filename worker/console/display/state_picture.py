"""The state machine as a picture: the geometry is computed from the machine's own definition.

States stand in columns on one line, in the order of a life; where a life is broken off stands
below. A move to the next column is a straight arrow, one that leaves columns out an arc above, one
that leads back an arc below.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from models.lifecycle.machine import DEFINED
from models.vocabulary import Status

_COLUMNS: Final = (
    Status.ABSENT,
    Status.NEW,
    Status.RESERVED,
    Status.OPEN,
    Status.RESULTED,
    Status.CLOSED,
)
_BELOW: Final = {Status.CANCELLED: 1.5}  # the column
BOX: Final = (96, 34)  # width and height of a state
_PITCH: Final = 146
_MARGIN: Final = 8
_LINE_Y: Final = 104  # the middle of the states on the line
_BELOW_Y: Final = 196
_ARC: Final = 26  # the height of an arc, for each column that it spans
WIDTH: Final = _PITCH * (len(_COLUMNS) - 1) + BOX[0] + 2 * _MARGIN
HEIGHT: Final = _BELOW_Y + BOX[1] // 2 + _MARGIN


@dataclass(frozen=True, slots=True)
class StateBox:
    """A state and the middle of its box."""

    status: Status
    x: float
    y: float
    present: bool
    visited: bool


@dataclass(frozen=True, slots=True)
class Arrow:
    """All transitions from one state to another. *times*: how often the ticket took it."""

    source: Status
    target: Status
    triggers: tuple[str, ...]
    path: str
    times: int


@dataclass(frozen=True, slots=True)
class StatePicture:
    """What a template draws; *words* says the same."""

    boxes: tuple[StateBox, ...]
    arrows: tuple[Arrow, ...]  # those that were taken come last, above the others
    words: str


def draw_states(present: Status, made: Mapping[tuple[Status, Status], int]) -> StatePicture:
    """Draw the machine for a ticket that is *present* and has *made* these moves."""
    triggers: defaultdict[tuple[Status, Status], list[str]] = defaultdict(list)
    for transition in DEFINED:
        triggers[transition.source, transition.target].append(transition.trigger.value)
    arrows = [
        Arrow(source, target, tuple(names), _path(source, target), made.get((source, target), 0))
        for (source, target), names in triggers.items()
    ]
    visited = {status for move, times in made.items() if times for status in move}
    boxes = [
        StateBox(status, *_middle(status), present=status is present, visited=status in visited)
        for status in Status
    ]
    arrows.sort(key=lambda arrow: arrow.times > 0)
    return StatePicture(tuple(boxes), tuple(arrows), _words(present, made))


def _words(present: Status, made: Mapping[tuple[Status, Status], int]) -> str:
    order = list(Status)
    moves = [
        f"{source} to {target}" + (f" ({times} times)" if times > 1 else "")
        for (source, target), times in sorted(
            made.items(), key=lambda item: [order.index(status) for status in item[0]]
        )
    ]
    steps = f" It went from {', '.join(moves)}." if moves else ""
    return f"The ticket is {present}.{steps}"


def _middle(status: Status) -> tuple[float, float]:
    below = _BELOW.get(status)
    column = _COLUMNS.index(status) if below is None else below
    x = _MARGIN + BOX[0] / 2 + column * _PITCH
    return x, _LINE_Y if below is None else _BELOW_Y


def _path(source: Status, target: Status) -> str:
    (x1, y1), (x2, y2) = _middle(source), _middle(target)
    half_width, half_height = BOX[0] / 2, BOX[1] / 2
    if source is target:
        top, x = y1 - half_height, x1 + half_width / 2
        bend = top - _ARC
        return f"M {x - 9:g} {top:g} C {x - 16:g} {bend:g} {x + 16:g} {bend:g} {x + 9:g} {top:g}"
    if y1 != y2:  # into the middle of the box below, from where it comes
        end = x2 + (x1 - x2) * half_width / _PITCH / 2
        return f"M {x1:g} {y1 + half_height:g} L {end:g} {y2 - half_height:g}"
    columns = round((x2 - x1) / _PITCH)
    if columns == 1:
        return f"M {x1 + half_width:g} {y1:g} L {x2 - half_width:g} {y2:g}"
    side = -1 if columns > 0 else 1
    start, end = x1 + side * -12, x2 + side * 12
    edge = y1 + side * half_height
    bend = edge + side * _ARC * abs(columns)
    return f"M {start:g} {edge:g} C {start:g} {bend:g} {end:g} {bend:g} {end:g} {edge:g}"
