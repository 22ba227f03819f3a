"""Text comes in UTF-8: a leading byte order mark is dropped, other encodings are named."""

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE


def without_byte_order_mark(head: bytes) -> bytes:
    """Drop the byte order mark that some editors and exports put before a text."""
    return head.removeprefix(BOM_UTF8)


def encoding_problem(raw: bytes) -> str | None:
    """Describe what *raw*, which is not JSON, seems to be instead, and the remedy.

    Returns None if nothing is recognised.
    """
    if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):  # those of UTF-32 hold NULs
        return "it is UTF-16 or UTF-32, by its byte order mark; save it as UTF-8"
    if b"\x00" in raw:
        return "it holds NUL bytes, as UTF-16 and cut-off files do; save it as UTF-8"
    if raw.startswith(BOM_UTF8):
        return "it begins with a byte order mark; remove these three bytes (EF BB BF)"
    if b"\r" in raw.strip() and b"\n" not in raw:
        return "its lines end with CR alone; end them with LF"
    return None
