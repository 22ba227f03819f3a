"""Takes a server's URL apart. It may contain a password, so no message here repeats any of it."""

from urllib.parse import SplitResult, urlsplit


def stripped(url: str) -> str:
    """Strip *url*. Raises ValueError for a space or control character inside it."""
    text = url.strip()
    if not text.isprintable() or " " in text:
        raise ValueError(
            "not a readable URL: it holds a space or a control character; percent-encode it,"
            " a space as %20"
        )
    return text


def split_url(url: str) -> SplitResult:
    """Split *url*. Raises ValueError where it is unclear where its password ends.

    Each client looks for the end in its own way, and would show the rest as a host or a database.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when the port is not a number
    except ValueError:
        raise unreadable() from None
    if url.count("@") > parts.netloc.count("@") or parts.netloc.count("@") > 1 or "#" in url:
        raise unreadable()
    return parts  # its scheme is in lower case


def unreadable() -> ValueError:
    """Return the error for a URL that can be read in several ways."""
    return ValueError(
        "not a readable URL; special characters in a password must be percent-encoded:"
        " @ as %40, / as %2F, # as %23, ? as %3F"
    )
