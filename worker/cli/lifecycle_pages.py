"""The state machine written out; all of it comes from `models.lifecycle`."""

import json

from models.lifecycle.moves import MOVES
from models.lifecycle.pages import diagram, state_table


def page(form: str) -> str:
    """The table (`md`), the diagram (`mermaid`), or every move (`json`)."""
    match form:
        case "mermaid":
            return diagram()
        case "json":
            moves = [
                {"from": status.value, "action": trigger, "to": target.value}
                for (status, trigger), target in MOVES.items()
            ]
            return json.dumps(moves, indent=2)
        case _:
            return state_table()
