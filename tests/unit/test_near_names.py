"""A field whose name is nearly a known one is refused, with the right name.

Ignored in silence, a win would be paid what the ticket says, or its time and identity be lost.
"""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import StringConstraints, TypeAdapter, ValidationError

from models.events.cloud_event_format import CLOUD_EVENT_NAMES
from models.events.format import DATA_NAMES, EVENT_NAMES, LENIENT_NAMES
from models.events.lottery_format import LINE_NAMES, MESSAGE_NAMES
from models.events.refusal import Refusal
from models.ticket_import.ticket_line import read_line
from tests.support import envelopes, lottery
from tests.support.entries import accepted, published, refused

STYLES: list[Callable[[str], str]] = [
    lambda name: name[0] + name.title().replace("_", "")[1:],
    lambda name: name.title().replace("_", ""),
    lambda name: name.replace("_", "-"),
    lambda name: name.replace("_", " "),
    lambda name: name.replace("_", "."),
    lambda name: name.replace("_", ""),
    lambda name: name.upper(),
    lambda name: f"_{name}",
    lambda name: f"{name} ",
    lambda name: f"@{name}",
    lambda name: f"{name}\u200b",
    lambda name: name.upper().replace("I", "\u0130"),  # Turkish software
    lambda name: name.replace("i", "\u0131"),
]


def variants(name: str) -> set[str]:
    return {style(name) for style in STYLES} - {name}


@pytest.mark.parametrize("name", sorted(EVENT_NAMES.known - {"data"} - LENIENT_NAMES))
def test_beside_data_a_name_that_is_nearly_known_is_refused(name):
    for nearly in variants(name):
        message = refused(published(top={nearly: 1})).message

        assert message.endswith(f": is not known here; did you mean {name}?")


@pytest.mark.parametrize("name", sorted(DATA_NAMES.known))
def test_within_data_a_name_that_is_nearly_known_is_refused(name):
    for nearly in variants(name):
        facts: dict[str, Any] = {nearly: 1}
        message = refused(published(**facts)).message

        assert message.startswith("data.")
        assert message.endswith(f": is not known here; did you mean {name}?")


def test_the_right_name_beside_it_does_not_help():
    message = refused(published(net_payout=500, netPayout=1000)).message

    assert message == "data.netPayout: is not known here; did you mean net_payout?"


@pytest.mark.parametrize("name", sorted(DATA_NAMES.known - {"operator", "ticket_id"}))
def test_a_fact_beside_data_is_refused(name):
    assert refused(published(top={name: None})).message == (
        f"{name}: is not known here; did you mean data.{name}?"
    )


@pytest.mark.parametrize("name", ["event_id", "eventId", "occurred_at", "sequence", "Sequence"])
def test_what_belongs_beside_data_is_refused_within(name):
    facts: dict[str, Any] = {name: None}
    message = refused(published(**facts)).message

    assert message.startswith(f"data.{name}: is not known here; did you mean ")
    assert message.endswith(", beside data?")


def test_what_is_missing_is_reported_by_the_name_that_was_sent():
    raw = b'{"eventId":"1","occurredAt":"x","action":"ticket_win","data":{"ticketId":"7"}}'

    assert refused(raw).message == (
        "eventId: is not known here; did you mean event_id?; "
        "occurredAt: is not known here; did you mean occurred_at?; "
        "data.ticketId: is not known here; did you mean ticket_id?"
    )


def test_many_are_counted():
    nearly: dict[str, Any] = {f"{'_' * count}price": 1 for count in range(1, 9)}

    assert refused(published(**nearly)).message.endswith("?; and 3 more")


@pytest.mark.parametrize("name", ["shop", "version", "payout", "event", "id", "", "_", "pricE2"])
def test_an_unknown_field_does_no_harm(name):
    accepted_event = accepted(published(top={name: 1}, **{name: {"eventId": 1, "net_payout": 2}}))

    assert accepted_event.data[name] == {"eventId": 1, "net_payout": 2}


@pytest.mark.parametrize("name", ["occurredAt", "occurred-at", "Sequence", "eventId", "netPayout"])
@pytest.mark.parametrize("how", ["kwargs", "args", "older protocol", "plain message"])
def test_a_task_s_arguments_are_no_exception(name, how):
    facts = {**envelopes.DATA, name: 1}
    raw = {
        "kwargs": envelopes.task(kwargs=facts),
        "args": envelopes.task(args=[facts], kwargs={}),
        "older protocol": envelopes.envelope({"task": "ticket_win", "id": "1", "kwargs": facts}),
        "plain message": envelopes.envelope({**envelopes.EVENT, "data": facts}),
    }[how]

    assert f"{name}: is not known here; did you mean " in envelopes.refused(raw).message


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            envelopes.task(headers={"ETA": "soon"}),
            "headers.ETA: is not known here; did you mean eta",
        ),
        (
            envelopes.task(headers={"Expires": 1}),
            "headers.Expires: is not known here; did you mean",
        ),
        (
            envelopes.task(properties={"Expiration": "10000"}),
            "properties.Expiration: is not known here; did you mean expiration?",
        ),
        (
            envelopes.envelope({"task": "ticket_win", "id": "1", "kwargs": {}, "Eta": "soon"}),
            "body: Eta: is not known here; did you mean eta?",
        ),
        (
            envelopes.envelope({"task": "ticket_win", "id": "1", "Kwargs": envelopes.DATA}),
            "body: Kwargs: is not known here; did you mean kwargs?",
        ),
    ],
)
def test_nor_is_what_would_delay_a_task_or_end_it(raw, message):
    """Ignored, what was meant for later would be applied at once."""
    assert message in envelopes.refused(raw).message


@pytest.mark.parametrize("name", sorted(MESSAGE_NAMES.known - {"type", "amount", "meta"}))
def test_a_lottery_s_message_is_no_exception(name):
    for nearly in variants(name):
        facts: dict[str, Any] = {nearly: 1}
        refusal = lottery.wrong(lottery.settlement(**facts))

        assert str(refusal).endswith(f": is not known here; did you mean {name}?")


@pytest.mark.parametrize("name", sorted(LINE_NAMES.known))
def test_nor_are_its_lines(name):
    line = {"line_id": 1, "matched_numbers": [], "is_winning_line": True}
    for nearly in variants(name):
        refusal = lottery.wrong(lottery.settlement(lines=[line, line | {nearly: 1}]))

        assert str(refusal).startswith("lines.1.")
        assert str(refusal).endswith(f": is not known here; did you mean {name}?")


def test_what_is_free_is_not_looked_into():
    free = {"eventId": 1, "isWinningLine": True, "ticket-id": 2}
    line = {"line_id": 1, "matched_numbers": [], "is_winning_line": True, "meta": free}

    assert lottery.wrong(lottery.settlement(meta=free, lines=[line], game={"amount": 1})) is None


def test_the_facts_of_a_ticket_that_is_imported_are_no_exception():
    line = {"operator": "acme", "ticket_id": "7", "state": "open", "data": {"netPayout": 1}}

    with pytest.raises(
        Refusal, match=r"data\.netPayout: is not known here; did you mean net_payout"
    ):
        read_line(line)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"settledAt": "2026-11-20T10:00:00Z"},
            "settledAt: is not known here; did you mean settled",
        ),
        ({"Sequence": 3}, "Sequence: is not known here; did you mean sequence?"),
        ({"currency": "EUR"}, "currency: is not known here; did you mean data.currency?"),
        (
            {"data": {"sequence": 3}},
            "data.sequence: is not known here; did you mean sequence, beside",
        ),
        (
            {"data": {"settledAt": "x"}},
            "data.settledAt: is not known here; did you mean settled_at,",
        ),
        ({"data": {"ticket_id": "8"}}, "data.ticket_id: differs from the line's; leave it out"),
        ({"data": {"operator": "other"}}, "data.operator: differs from the line's; leave it out"),
    ],
)
def test_nor_is_the_line_itself(changed, message):
    line = {"operator": "acme", "ticket_id": "7", "state": "open", **changed}

    with pytest.raises(Refusal) as refused_line:
        read_line(line)

    assert str(refused_line.value).startswith(message)


SEPARATORS = st.text("_-. \u00a0\u200b\u0301$/", max_size=3)


@st.composite
def near(draw: st.DrawFn) -> str:
    """A known name in any case and with any separators, now and then with a letter changed."""
    name = draw(st.sampled_from(sorted(EVENT_NAMES.known | DATA_NAMES.known)))
    letters = [draw(st.sampled_from([letter, letter.upper()])) for letter in name.replace("_", "")]
    if draw(st.booleans()):
        place = draw(st.integers(0, len(letters) - 1))
        letters[place] = draw(st.sampled_from("x1\u00e9\u0131\u0130\u017f\u212a\u0430"))
    return "".join(letter + draw(SEPARATORS) for letter in ["", *letters])


LEVELS = [
    (
        names,
        [
            TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])
            for pattern in names.patterns
        ],
    )
    for names in (EVENT_NAMES, DATA_NAMES, CLOUD_EVENT_NAMES, MESSAGE_NAMES, LINE_NAMES)
]


@given(near() | st.text(max_size=12))
def test_the_published_patterns_find_exactly_these_names(name):
    for names, patterns in LEVELS:
        if name in names.known:
            continue
        matches = any(is_valid(pattern, name) for pattern in patterns)

        assert matches == bool(names.near_misses({name: 1}))


def is_valid(pattern: TypeAdapter[str], name: str) -> bool:
    try:
        pattern.validate_python(name)
    except ValidationError:
        return False
    return True
