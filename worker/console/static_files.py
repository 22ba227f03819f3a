"""Our scripts, styles and pictures: read once, under addresses that change with their content."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from worker.console.refusals import not_found

FOLDER: Final = Path(__file__).parent / "static"
_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_YEAR: Final = "public, max-age=31536000, immutable"
_BRIEFLY: Final = "public, max-age=60"  # a page of another version, during a rollout
_DIGITS: Final = 12

routes = APIRouter()


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file, plain and compressed."""

    media_type: str
    version: str
    plain: bytes
    compressed: bytes


@cache
def static_files() -> Mapping[str, StaticFile]:
    """Read all files, by their path below `static/`."""
    return {
        path.relative_to(FOLDER).as_posix(): _read(path)
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in _MEDIA_TYPES
    }


def static_path(name: str) -> str:
    """Return the path of a file within the console. Raises KeyError for one that is not there."""
    return f"/static/{static_files()[name].version}/{name}"


@routes.get("/static/{version}/{name:path}", include_in_schema=False)
async def static(request: Request, version: str, name: str) -> Response:
    """Serve a file."""
    file = static_files().get(name)
    if file is None:
        raise not_found("There is no such file.")
    compressed = "gzip" in request.headers.get("accept-encoding", "")
    headers = {
        "Cache-Control": _YEAR if version == file.version else _BRIEFLY,
        "Vary": "Accept-Encoding",
        **({"Content-Encoding": "gzip"} if compressed else {}),
    }
    body = file.compressed if compressed else file.plain
    return Response(body, headers=headers, media_type=file.media_type)


def _read(path: Path) -> StaticFile:
    plain = path.read_bytes()
    version = hashlib.sha256(plain).hexdigest()[:_DIGITS]
    compressed = gzip.compress(plain, mtime=0)
    return StaticFile(_MEDIA_TYPES[path.suffix], version, plain, compressed)
