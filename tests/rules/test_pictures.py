"""The README's pictures: they exist, are small, and show what their command would take."""

import re
import struct

from tests.support.console_pictures import FOLDER, PAGES, SIZE
from tests.support.sources import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BYTES_MAX = 80_000
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def test_the_readme_shows_the_pictures_that_the_command_takes():
    shown = re.findall(r"!\[[^\]]+\]\((worker/console/pictures/[^)]+)\)", README)

    assert sorted(shown) == sorted(f"worker/console/pictures/{name}.png" for name in PAGES)
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.png" for name in PAGES}


def test_each_is_a_small_png_of_the_right_width():
    for name in PAGES:
        picture = (FOLDER / f"{name}.png").read_bytes()
        assert picture.startswith(SIGNATURE), name
        assert struct.unpack(">II", picture[16:24]) == SIZE, name
        assert len(picture) < BYTES_MAX, name
