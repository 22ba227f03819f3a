"""Ids in the paths of URLs, where a slash that belongs to an id is escaped as `%2F`.

A server decodes the path before it is split, so an escaped slash would become a separator.
"""

from urllib.parse import quote, unquote, unquote_to_bytes

_ESCAPED = (b"%2f", b"%2F", b"%25")


def keeps_escapes(raw_path: bytes) -> bool:
    """Return whether a path needs `path_with_escapes`: most do not."""
    return any(mark in raw_path for mark in _ESCAPED)


def path_with_escapes(raw_path: bytes) -> str:
    """Decode a path as it was sent, with slashes inside a segment still escaped."""
    segments = [unquote_to_bytes(part) for part in raw_path.split(b"/")]
    return "/".join(_escape(part.decode("utf-8", "replace")) for part in segments)


def unescape_segment(segment: str) -> str:
    """Return the id that a segment of `path_with_escapes` stands for."""
    return unquote(segment) if "%" in segment else segment


def quote_segment(text: str) -> str:
    """Return *text* as one segment of a path."""
    return quote(text, safe="")


def _escape(segment: str) -> str:
    return segment.replace("%", "%25").replace("/", "%2F")
