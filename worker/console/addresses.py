"""The console's own addresses: links, where to go after the sign-in, cookies.

`SLIPWAY_CONSOLE_URL` may have a path prefix. A proxy may pass it on or strip it: either way the
application sees `root_path` (`worker.console.http.prefix`), and every link begins with it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Self
from urllib.parse import urlencode, urlsplit

from fastapi import Path, Request
from fastapi.responses import Response
from pydantic import AfterValidator

from models.platform.url_paths import quote_segment, unescape_segment
from models.settings.settings import Settings

_PATH_MAX: Final = 2000
PathId = Annotated[str, Path(max_length=1000), AfterValidator(unescape_segment)]
"""An id in the path of a route. It may hold a slash, which `path_of` escapes."""

QueryValue = str | int | None | Iterable[str | int]


@dataclass(frozen=True, slots=True)
class PublicAddress:
    """The console as a browser sees it: `https://ops.example.com`, and the prefix `/slipway`."""

    origin: str
    prefix: str

    @classmethod
    def of(cls, settings: Settings, request: Request) -> Self:
        """Return the configured address, else that of the request."""
        if settings.console_url is not None:
            parts = urlsplit(settings.console_url)
            return cls(f"{parts.scheme}://{parts.netloc}", parts.path)
        return cls(f"{request.url.scheme}://{request.headers.get('host', '')}", "")

    @property
    def https(self) -> bool:
        """Whether browsers come with https."""
        return self.origin.startswith("https:")

    def cookie_name(self, name: str) -> str:
        """Return the cookie's name with the prefix by which browsers protect it."""
        if not self.https:
            return f"slipway_{name}"
        return f"__Secure-slipway_{name}" if self.prefix else f"__Host-slipway_{name}"

    def set_cookie(
        self, response: Response, name: str, content: str, *, max_age: int | None = None
    ) -> None:
        """Set one of our cookies; no script can read it, and no other site's form brings it."""
        response.set_cookie(
            self.cookie_name(name),
            content,
            max_age=max_age,
            path=self.prefix or "/",
            secure=self.https,
            httponly=True,
            samesite="lax",
        )

    def delete_cookie(self, response: Response, name: str) -> None:
        """Have the browser forget one of our cookies."""
        response.delete_cookie(
            self.cookie_name(name),
            path=self.prefix or "/",
            secure=self.https,
            httponly=True,
            samesite="lax",
        )


def path_of(*segments: str | int, query: Mapping[str, QueryValue] | None = None) -> str:
    """Return a path within the console: `path_of("tickets", "acme", "T/1")`, quoted, no prefix."""
    path = "/" + "/".join(quote_segment(str(segment)) for segment in segments)
    return with_query(path, query or {})


def with_query(path: str, query: Mapping[str, QueryValue]) -> str:
    """Return *path* with *query*; values that are None or empty are left out."""
    pairs = [
        (name, str(item))
        for name, value in query.items()
        for item in ([value] if value is None or isinstance(value, str | int) else value)
        if item is not None and item != ""
    ]
    return f"{path}?{urlencode(pairs)}" if pairs else path


def own_path(wanted: str | None) -> str:
    """Return the path to go to after the sign-in: *wanted* if it is one of ours, else `/`.

    Two slashes, a backslash or a control character can lead a browser to another site.
    """
    if not wanted or len(wanted) > _PATH_MAX or not wanted.startswith("/"):
        return "/"
    if wanted.startswith("//") or "\\" in wanted or not wanted.isprintable() or " " in wanted:
        return "/"
    return wanted
