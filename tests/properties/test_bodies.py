"""Whatever is decided can be sent: no readable event, on no ticket, ends as a mistake of ours."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from models.events.decode import read
from models.events.event import Event
from models.lifecycle.advance import PendingEvent, advance
from models.lifecycle.ticket import TicketState
from models.notices.body import message
from models.vocabulary import INBOUND, Outcome, Status
from tests.support.entries import entry
from tests.support.outgoing_bodies import in_contract
from tests.support.searches import examples
from tests.support.tickets import ANNOUNCING, NOON, OPERATOR, PAM, SEAMLESS, TICKET_ID, WINDOW

WORDS = st.sampled_from(["", "w", "é☃", "~" * 255])
TEXTS = st.sampled_from(["", "t", "two words", '"\\/\t', "☃" * 255])
CENTS = st.sampled_from([0, 1, 500, 10**15])
PERCENTS = st.sampled_from([0, 12.5, 1000])
FACTS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("player_id", "psp", "ext_type", "atag", "rtag", "ticket_type"), WORDS),
    **dict.fromkeys(("reason", "game", "game_id"), TEXTS),
    **dict.fromkeys(("price", "stake", "wht_amount", "ext_amount"), CENTS),
    **dict.fromkeys(("gross_payout", "net_payout"), CENTS),
    **dict.fromkeys(("wht", "ext"), PERCENTS),
    "ticket_code": st.just("CD4BDD"),
    "currency": st.sampled_from(["EUR", "JPY", "KWD", "CLF", "XAU", "ZZZ"]),
    **dict.fromkeys(("feature_buy", "correction"), st.booleans()),
    "lottery": st.sampled_from([{}, {"draw_id": "1", "currency": "EUR"}, {"currency": 5}, [], "x"]),
}
SOME_FACTS = st.fixed_dictionaries(
    {}, optional={name: st.none() | values for name, values in FACTS.items()}
)
EVENTS = st.lists(st.tuples(st.sampled_from(INBOUND), SOME_FACTS), min_size=1, max_size=6)


@settings(max_examples=examples(600))
@given(
    st.sampled_from([PAM, ANNOUNCING, SEAMLESS]),
    st.sampled_from([Status.ABSENT, Status.OPEN, Status.RESERVED]),
    SOME_FACTS,
    EVENTS,
)
def test_whatever_is_decided_about_a_ticket_can_be_sent(terms, status, known, events):
    """A ticket that was imported, or opened by an older release, may lack any fact."""
    ticket = TicketState(1, TICKET_ID, terms, status=status, details=facts(known))

    ends = [tell(ticket, number, *event) for number, event in enumerate(events)]

    texts = [message(ticket, notice) for notice in ticket.new_notices]
    assert [text for text in texts if not text.impossible and not in_contract(*text[:2])] == []
    assert None not in ends


@settings(max_examples=examples(300))
@given(SOME_FACTS, st.sampled_from(["ticket_win", "ticket_lost", "ticket_void", "ticket_refund"]))
def test_a_wallet_s_result_is_sent_or_refused_for_what_it_lacks(known, action):
    ticket = TicketState(1, TICKET_ID, SEAMLESS, status=Status.OPEN, details=facts(known))

    end = tell(ticket, 1, action, {})

    if end is Outcome.APPLIED:
        (notice,) = ticket.new_notices
        sent = json.loads(message(ticket, notice).body)
        assert all(sent[name] not in (None, "") for name in ("username", "game", "gameId"))
        assert sent["currency"] in ("EUR", "JPY", "KWD", "CLF")
    else:
        assert end is Outcome.REJECTED
        assert ticket.status is Status.OPEN


def facts(known: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in known.items() if value is not None}


def tell(ticket: TicketState, number: int, action: str, data: dict[str, Any]) -> Outcome | None:
    """Say it as a publisher would; how it ended. None: it was lost on the way."""
    document = {
        "event_id": f"e{number}",
        "action": action,
        "data": {**data, "operator": OPERATOR, "ticket_id": TICKET_ID},
    }
    at = int(NOON.timestamp() * 1000) + number
    event = read(entry(json.dumps(document).encode(), entry_id=f"{at}-0"))
    if not isinstance(event, Event):
        return Outcome.REJECTED
    was_new = ticket.status is Status.NEW
    pending = PendingEvent(event, arrival=number)
    ended = advance(ticket, [pending], now=event.received_at, window=WINDOW, was_new=was_new)
    ticket.parked = 0
    return ended[0].decision.outcome if ended else None
