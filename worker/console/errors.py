"""Error pages: what happened, what to do, and never a page that looks like an empty list."""

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.database.errors import is_transient
from models.platform.blocking_threads import NoThreadFree
from models.platform.encryption import DecryptionFailed
from models.platform.errors import ConflictError, InvalidError, NotFoundError, SlipwayError
from models.users import TooManySignIns
from worker.console.addresses import PublicAddress, with_query
from worker.console.console import console_of
from worker.console.http.security_headers import REQUEST_ID
from worker.console.refusals import PageRefused, SignInNeeded, invalid, not_found
from worker.console.rendering import SEE_OTHER, here, render

log = logging.getLogger(__name__)

API_PREFIX = "/api/"
_SAFE = {"GET", "HEAD"}
_RETRY = {"Retry-After": "5"}
_DATABASE_AWAY = PageRefused(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "The database does not respond",
    "Nothing can be shown or changed until it does. Nothing on this page is an empty list: try"
    " again in a few seconds. If it stays like this, operations finds the reason with"
    " `slipway doctor`.",
    headers=_RETRY,
)


def error_page(request: Request, refusal: PageRefused) -> Response:
    """Render the page of a refusal; a client that wants JSON gets JSON."""
    request_id = request.scope[REQUEST_ID]
    if not _wants_page(request):
        body = {"code": refusal.status, "message": refusal.message, "request_id": request_id}
        return JSONResponse(body, refusal.status, refusal.headers)
    return render(
        request,
        "error.html",
        status=refusal.status,
        headers=refusal.headers,
        title=refusal.title,
        message=refusal.message,
        back=_page_of_form(request),
    )


def _page_of_form(request: Request) -> str | None:
    """Return the address of the page whose form was refused; None: it was none of ours."""
    page = request.headers.get("referer", "")
    own = PublicAddress.of(console_of(request).settings, request).origin
    return page if request.method not in _SAFE and page.startswith(f"{own}/") else None


def _wants_page(request: Request) -> bool:
    """Return whether the client takes a page: browsers do, `fetch` of JSON and the API do not."""
    if _is_api(request):
        return False
    return request.headers.get("accept", "").partition(",")[0] != "application/json"


def _is_api(request: Request) -> bool:
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", "")).startswith(API_PREFIX)


def register_error_handlers(app: FastAPI) -> None:
    """Make *app* respond to errors with pages."""
    app.add_exception_handler(PageRefused, _refused)
    app.add_exception_handler(SignInNeeded, _sign_in_first)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_failed)
    app.add_exception_handler(SlipwayError, _not_possible)
    app.add_exception_handler(SQLAlchemyError, _database_failed)
    app.add_exception_handler(ClientDisconnect, _client_disconnected)


class UnexpectedErrors:
    """ASGI middleware: an error that nobody expected becomes a page with the request's id.

    Starlette's own handler of such errors stands outside all middleware, so its page would have no
    security headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap *app*."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and answer it if that fails before an answer has begun."""
        begun = False

        async def note_begin(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, note_begin)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            await _failed(Request(scope), error)(scope, receive, send)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, PageRefused), "registered for this class alone"
    return error_page(request, error)


def _sign_in_first(request: Request, _error: Exception) -> Response:
    """Lead to the sign-in page and from there back; htmx loads that page as a whole."""
    wanted = here(request) if request.method in _SAFE else None
    path = request.scope["root_path"] + with_query("/sign-in", {"to": wanted})
    if "hx-request" in request.headers:
        return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": path})
    if not _wants_page(request):
        refusal = PageRefused(HTTPStatus.UNAUTHORIZED, "Signed out", "Your session has ended.")
        return error_page(request, refusal)
    return RedirectResponse(path, SEE_OTHER)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for this class alone"
    if error.status_code == HTTPStatus.NOT_FOUND:
        return error_page(request, not_found("There is no page at this address."))
    status = HTTPStatus(error.status_code)
    refusal = PageRefused(status, status.phrase, f"{error.detail}.", headers=error.headers)
    return error_page(request, refusal)


def _validation_failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "registered for this class alone"
    flaws = "; ".join(f"{flaw['loc'][-1]}: {flaw['msg']}" for flaw in error.errors()[:5])
    return error_page(request, invalid(f"The address or the form cannot be read: {flaws}."))


def _not_possible(request: Request, error: Exception) -> Response:
    """Show why an act of `models` was refused: its messages are sentences for people."""
    if isinstance(error, DecryptionFailed):
        log.error("secret_undecryptable", extra={"error": str(error)})
    match error:
        case NoThreadFree() | TooManySignIns():
            status, title = HTTPStatus.SERVICE_UNAVAILABLE, "Busy"
        case DecryptionFailed():
            status, title = HTTPStatus.INTERNAL_SERVER_ERROR, "A secret cannot be read"
        case NotFoundError():
            status, title = HTTPStatus.NOT_FOUND, "Not found"
        case InvalidError():
            status, title = HTTPStatus.UNPROCESSABLE_ENTITY, "Not accepted"
        case ConflictError():
            status, title = HTTPStatus.CONFLICT, "Not possible"
        case _:
            status, title = HTTPStatus.CONFLICT, "Not possible"
    return error_page(request, PageRefused(status, title, _sentence(request, error)))


def _sentence(request: Request, error: Exception) -> str:
    """Return an error's message as a sentence; of an act it adds that nothing was done."""
    message = str(error).strip()
    sentence = message[:1].upper() + message[1:]
    ended = sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
    return ended if request.method in _SAFE else f"{ended} Nothing was done."


def _database_failed(request: Request, error: Exception) -> Response:
    if is_transient(error):
        log.warning("database_unavailable", extra={"error": str(error)})
        return error_page(request, _DATABASE_AWAY)
    return _failed(request, error)


def _client_disconnected(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # not read by anyone


def _failed(request: Request, error: Exception) -> Response:
    request_id = request.scope[REQUEST_ID]
    log.error(
        "request_failed",
        extra={"error": type(error).__name__, "request_id": request_id},
        exc_info=error,
    )
    return error_page(
        request,
        PageRefused(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "This page failed",
            "Something in the console is wrong, and it may be wrong only for this page. It is in"
            f" the console's log with the request id {request_id}: send the id to the people who"
            " run Slipway.",
        ),
    )
