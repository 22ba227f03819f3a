"""Forms that change something: proven to be ours, with a reason, and what the person saw.

`check_origin` stands before every route of a page. An act takes `TheAct`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Depends, Request
from starlette.datastructures import FormData, UploadFile

from models.operators.interventions import WHY_MAX, Person
from worker.console.addresses import PublicAddress
from worker.console.console import TheConsole
from worker.console.people import SignedIn
from worker.console.refusals import PageRefused, conflict, invalid

CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "X-CSRF-Token"
REASON_FIELD: Final = "reason"
EXPECTED_FIELD: Final = "expected"
_SAFE_METHODS: Final = {"GET", "HEAD"}
_OWN_SITES: Final = {"same-origin", "none"}  # "none": the person typed or reloaded it


async def read_form(request: Request, console: TheConsole) -> FormData:
    """Return the fields of the form. Raises PageRefused."""
    form = await request.form(max_fields=console.limits.fields)
    pairs = form.multi_items()  # `values` has the last one of each name alone
    if any(isinstance(content, UploadFile) or "\0" in content for _, content in pairs):
        raise invalid("The form holds a NUL character or a file. Nothing was done.")
    return form


TheForm = Annotated[FormData, Depends(read_form)]


def check_origin(request: Request, console: TheConsole) -> None:
    """Refuse what another site's page sends. Raises PageRefused (403).

    The browser states where a request comes from, in two ways; what states neither is no browser's
    form, and is stopped by its missing token.
    """
    if request.method in _SAFE_METHODS:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    foreign_site = site is not None and site not in _OWN_SITES
    own = PublicAddress.of(console.settings, request).origin
    if foreign_site or (origin is not None and origin != own):
        raise forged(
            f"The form was sent by another site's page, or under another address than {own}."
        )


async def check_token(request: Request, user: SignedIn, console: TheConsole) -> None:
    """Refuse a form without its session's token. Raises PageRefused (403)."""
    if request.method in _SAFE_METHODS:
        return
    given = request.headers.get(CSRF_HEADER)
    if given is None:
        given = str((await read_form(request, console)).get(CSRF_FIELD, ""))
    if not user.csrf_matches(given):
        raise forged("The form does not belong to your present session.")


def forged(why: str) -> PageRefused:
    """Build the 403 of a form that is not ours, or is no longer."""
    return PageRefused(
        HTTPStatus.FORBIDDEN,
        "Form not accepted",
        f"{why} Nothing was done: go back, reload the page and send the form again.",
    )


@dataclass(frozen=True, slots=True)
class Act:
    """What a person asks for: who and why, and the state that the page showed."""

    person: Person
    expected: str | None
    form: FormData

    def text(self, name: str) -> str:
        """Return a field, without the space around it; empty if it is missing."""
        content = self.form.get(name, "")
        return content.strip() if isinstance(content, str) else ""

    def texts(self, name: str) -> Sequence[str]:
        """Return all fields of this name: tick boxes."""
        return [content for content in self.form.getlist(name) if isinstance(content, str)]

    def require_state(self, present: str) -> None:
        """Raise PageRefused (409) if the page showed another state than *present*."""
        if self.expected is not None and self.expected != present:
            raise conflict(
                f"When you opened the page it was {self.expected}, now it is {present}."
                " Nothing was done: reload the page and decide again."
            )


def read_act(user: SignedIn, form: TheForm) -> Act:
    """Return the act of a form with a reason. Raises PageRefused (422) without one."""
    reason = str(form.get(REASON_FIELD, "")).strip()
    if not reason:
        raise invalid("Give a reason: it is kept with your name. Nothing was done.")
    if len(reason) > WHY_MAX:
        raise invalid(
            f"The reason has {len(reason):,} characters; the most is {WHY_MAX:,}. Nothing was done."
        )
    expected = form.get(EXPECTED_FIELD)
    return Act(Person(user.name, reason), None if expected is None else str(expected), form)


TheAct = Annotated[Act, Depends(read_act)]
