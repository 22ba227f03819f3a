"""Text that a partner, a publisher or a player stored: shown, never obeyed.

Escaping is Jinja's. Here control and format characters become visible, so that no text can hide a
part of itself, reverse what stands beside it, or reach a terminal when it is copied.
"""

import unicodedata
from typing import Final

from markupsafe import Markup, escape

NOTHING: Final = Markup('<span class="none">\N{EN DASH}</span>')  # where there is no value

# Control, format (bidi marks, zero width), half of a surrogate pair, private use, unassigned.
_HIDDEN: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_LINE_CHARACTERS: Final = {"\n", "\t"}
_COMBINING_MAX: Final = 3  # marks on one character; more would cover other lines


def visible(text: str, *, lines: bool = False) -> Markup:
    """Return *text* as HTML in which every hidden character is a marked name: `U+202E`.

    *lines*: line breaks and tabs stay what they are, as in a code block.
    """
    parts: list[Markup] = []
    plain: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if _is_plain(character, lines=lines) and marks <= _COMBINING_MAX:
            plain.append(character)
            continue
        parts.append(escape("".join(plain)))
        plain.clear()
        parts.append(
            Markup('<span class="hidden-character">U+{:04X}</span>').format(ord(character))
        )
    parts.append(escape("".join(plain)))
    return Markup("").join(parts)


def visible_plain(text: str) -> str:
    """Return *text* for an attribute or a header: hidden ones as numbers."""
    return "".join(
        character if _is_plain(character, lines=False) else f"\\u{ord(character):04x}"
        for character in text
    )


def shown(text: object, most: int, *, lines: bool = False) -> Markup:
    """Return *text* as HTML, its first *most* characters at once and the rest behind a fold.

    Without JavaScript too: the rest is in the page, in a `<details>`.
    """
    full = str(text)
    if len(full) <= most:
        return Markup('<bdi class="foreign">{}</bdi>').format(visible(full, lines=lines))
    return Markup(
        '<bdi class="foreign">{}</bdi><details class="rest"><summary>show all {:,} characters'
        '</summary><bdi class="foreign">{}</bdi></details>'
    ).format(visible(full[:most], lines=lines), len(full), visible(full[most:], lines=lines))


def _is_plain(character: str, *, lines: bool) -> bool:
    if lines and character in _LINE_CHARACTERS:
        return True
    return unicodedata.category(character) not in _HIDDEN
