"""Whatever partners, publishers and players stored is shown, and nothing of it is obeyed."""

import pytest

from tests.support.console_app import ConsoleApp, Page
from worker.console.display.foreign_text import shown, visible

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": "\"><img src=x onerror=alert(1)>'",
    "bidi": "abc\u202edcba\u2066x",
    "terminal": "\x1b[2J\x1b]0;owned\x07",
    "newline": "a\r\nSet-Cookie: x=1",
    "jinja": "{{ 7 * 7 }}{% raw %}",
    "zalgo": "a" + "\u0301" * 40,
    "zero width": "ad\u200bmin\ufeff",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_becomes_no_element_and_stays_readable(probed: ConsoleApp, kind: str):
    page = Page.of(probed.support.get("/probe/shown", foreign=HOSTILE[kind]))

    assert page.tree.css("script, img, [onerror]") == []
    assert "49" not in page.text("#text")
    raw = page.response.text
    assert not any(hidden in raw for hidden in "\x1b\x07\r\u202e\u2066\u200b\ufeff")
    copied = page.one("button[data-copy]").attributes["data-copy"] or ""
    assert "\x1b" not in copied


def test_hidden_characters_are_named_where_they_stand():
    assert visible("a\u202eb") == ('a<span class="hidden-character">U+202E</span>b')
    assert "U+001B" in visible("\x1b[2J")
    assert visible("a\n\tb", lines=True) == "a\n\tb"
    assert "U+000A" in visible("a\nb")


def test_a_long_answer_is_cut_and_the_rest_is_behind_a_fold():
    text = "<script>" + "x" * (64 * 1024)

    html = shown(text, 2000)

    assert html.index("<details") < 2200
    assert "show all 65,544 characters" in html
    assert "<script>" not in html
    assert html.count("x") == 64 * 1024


def test_a_viewer_sees_no_player_and_no_amount(probed: ConsoleApp):
    page = Page.of(probed.viewer.get("/probe/shown", foreign="player-4711"))
    seen = Page.of(probed.support.get("/probe/shown", foreign="player-4711"))

    assert page.text("#personal") == "•••"
    assert "player-4711" not in page.text("#json")
    assert '"stake": "\\u2022\\u2022\\u2022"' in page.text("#json")
    assert "player-4711" in seen.text("#personal")
    assert '"stake": 5' in seen.text("#json")


def test_a_time_is_relative_with_the_exact_one_beside_it(probed: ConsoleApp):
    page = Page.of(probed.viewer.get("/probe/shown"))

    element = page.one("#at time")
    assert element.text() == "now"
    assert (element.attributes["datetime"] or "").endswith("Z")
    assert (element.attributes["title"] or "").endswith("UTC")
    assert page.text("#exact time").endswith("UTC")
