"""The state machine written out; all of it comes from `models.lifecycle`."""

import json

from models.lifecycle.machine import DEFINED
from models.lifecycle.pages import diagram, state_table


def page(form: str) -> str:
    """The table (`md`), the diagram (`mermaid`), or every transition (`json`)."""
    match form:
        case "mermaid":
            return diagram()
        case "json":
            transitions = [
                {"from": source.value, "action": trigger.value, "to": target.value}
                for source, trigger, target in DEFINED
            ]
            return json.dumps(transitions, indent=2)
        case _:
            return state_table()
