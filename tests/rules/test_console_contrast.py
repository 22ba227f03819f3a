"""WCAG AA: every pair of text and ground in the console's style sheet, light and dark."""

import re

import pytest

from tests.support.sources import ROOT

SHEET = (ROOT / "worker/console/static/console.css").read_text(encoding="utf-8")
PAIR = re.compile(r"--([a-z0-9-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);")
COLOURS = {name: (light, dark) for name, light, dark in PAIR.findall(SHEET)}
WHITE = ("#ffffff", "#ffffff")
GROUNDS = ("ground", "surface", "raised")
TONES = ("good", "warning", "bad", "info")
TEXTS = [
    *((text, ground) for text in ("text", "muted", "link", "bad") for ground in GROUNDS),
    *((tone, f"{tone}-ground") for tone in TONES),
    *(("text", f"{tone}-ground") for tone in TONES),
    ("plot-text", "surface"),
    ("on-accent", "accent"),
    ("on-accent", "danger"),
]
PHONES = re.compile(r"^@media \(max-width: .*?^}$", re.DOTALL | re.MULTILINE)
COLOURED = re.compile(r"\b(?:background|border|color|outline|shadow|fill)[a-z-]*: ([^;]+);")
SHAPES = [  # borders of fields, focus, lines: 3 to 1
    *((shape, ground) for shape in ("line-strong", "focus") for ground in GROUNDS),
    *((f"line-{number}", "surface") for number in range(1, 5)),
]


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(first: str, second: str) -> float:
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def pair(name: str) -> tuple[str, str]:
    return WHITE if name == "on-accent" else COLOURS[name]


def test_black_on_white_has_the_greatest_contrast():
    assert round(contrast("#000000", "#ffffff"), 2) == 21


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXTS)
def test_text_can_be_read(text: str, ground: str, theme: int):
    assert contrast(pair(text)[theme], pair(ground)[theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("shape", "ground"), SHAPES)
def test_shapes_can_be_seen(shape: str, ground: str, theme: int):
    assert contrast(pair(shape)[theme], pair(ground)[theme]) >= 3


def test_what_is_for_phones_alone_takes_its_colours_from_the_pairs():
    (phones,) = PHONES.findall(SHEET)
    given = COLOURED.findall(phones)

    named = {name for words in given for name in re.findall(r"var\(--([a-z0-9-]+)\)", words)}
    others = {re.sub(r"var\([^)]*\)", "", words).strip() for words in given}

    assert len(given) > 3
    assert named - {"radius"} <= COLOURS.keys()
    assert others <= {"", "0", "none", "1px solid"}
