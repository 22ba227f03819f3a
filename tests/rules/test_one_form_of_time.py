"""Times are shown in one form: RFC 3339 in UTC, by `models.platform.timestamps`."""

import ast
from collections.abc import Iterator

from tests.support.sources import ROOT

PACKAGES = ("models", "worker", "producers")
# Where another form is right, because it is not for people: the place, and why.
ELSEWHERE = {
    "models/platform/timestamps.py": "the one place",
    "models/bet_engine/ticket_object.py": "the contract's own form (BetStack 1.6)",
    "models/notices/seamless.py": "the contract's own form (contracts 2.2)",
    "models/events/lottery.py": "a part of an event's id, which must stay as it is",
    "producers/publisher/event.py": "the words of an error about a time without an offset",
}
MAKERS = {"isoformat", "strftime", "ctime"}
CODES = tuple("YmdHMSFTDcXx")


def test_no_module_writes_a_time_in_a_form_of_its_own():
    found_forms = {
        f"{path.relative_to(ROOT)}:{line}"
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if str(path.relative_to(ROOT)) not in ELSEWHERE
        for line in forms_in(ast.parse(path.read_text(encoding="utf-8")))
    }

    assert found_forms == set()


def test_each_exception_is_one():
    for name in ELSEWHERE:
        assert list(forms_in(ast.parse((ROOT / name).read_text(encoding="utf-8")))), name


def test_a_form_is_found_however_it_is_made():
    def lines(source: str) -> list[int]:
        return list(forms_in(ast.parse(source)))

    assert lines('f"{at:%Y-%m-%d}"') == [1]
    assert lines('f"since {at:%F} {at:%T}"') == [1, 1]
    assert lines('"x"\nat.strftime("%H")') == [2]
    assert lines("str(at.isoformat())") == [1]
    assert lines('f"{share:.1%} of {count:,} and {name:<19}"') == []


def forms_in(tree: ast.AST) -> Iterator[int]:
    """The lines that format a time."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=attribute)) if attribute in MAKERS:
                yield node.lineno
            case ast.FormattedValue(format_spec=ast.JoinedStr() as spec):
                text = ast.unparse(spec)
                if any(f"%{code}" in text for code in CODES):
                    yield node.lineno
