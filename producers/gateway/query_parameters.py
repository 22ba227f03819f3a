"""Query parameters that are nearly known, or appear twice: refused, as fields of a body are.

`?dryRun=true` would publish what was only to be checked.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import Depends, Request

from models.events.field_names import Names
from producers.gateway.errors import Fault, invalid


def only_known(
    *names: str, many: Iterable[str] = (), elsewhere: Mapping[str, str] | None = None
) -> Any:  # noqa: ANN401 - what FastAPI's `Depends` is
    """Make the dependency of a route that has these parameters; those of *many* may repeat.

    Those of *elsewhere* belong to another route, as its values say, and would be missed here. A
    name that is not nearly one of them is ignored, as everywhere on the web. Raises Refused: 422.
    """
    repeatable = frozenset(many)
    known = Names.of([*names, *repeatable], elsewhere=elsewhere)

    async def checked(request: Request) -> None:
        given = [name for name, _ in request.query_params.multi_items()]
        faults = [
            Fault(at=["query", name], message=f"is not known here; did you mean {meant}?")
            for name, meant in known.nearly(dict.fromkeys(given)).items()
        ]
        faults += [
            Fault(at=["query", name], message="appears twice; send it once")
            for name in names
            if given.count(name) > 1
        ]
        if faults:
            raise invalid("the query is refused", faults[:5])

    return Depends(checked)
