"""No two notices share a key, whatever characters their ids hold."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import assume, given
from hypothesis import strategies as st

from models.lifecycle.ticket import NewNotice, TicketState
from models.notices.body import message
from models.notices.key import key_of, plain_key
from models.vocabulary import RESULTS, Action
from tests.support.sample_notice import NOW, PARTNER, WIN
from tests.support.tickets import ROUND, SEAMLESS
from worker.delivery.protocols.pam import PamAdapter

AT = datetime(2026, 11, 20, tzinfo=UTC)
# As `models.events.format.Id`: printable and without spaces; often what joins or quotes elsewhere.
IDS = st.text(
    st.one_of(st.sampled_from("/%2F0.:-ab"), st.characters(exclude_categories=("C", "Z"))),
    min_size=1,
    max_size=64,
)
Notice = tuple[str, str, Action, int]


@st.composite
def notices(draw: st.DrawFn, actions: list[Action]) -> Notice:
    return (
        draw(IDS),
        draw(IDS),
        draw(st.sampled_from(actions)),
        draw(st.integers(0, 2**31 - 1)),
    )


@st.composite
def pairs(draw: st.DrawFn, actions: list[Action]) -> tuple[Notice, Notice]:
    """Two notices; often the same text, cut into operator and ticket at another place."""
    notice = draw(notices(actions))
    joined = f"{notice[0]}/{notice[1]}"
    places = [place for place, character in enumerate(joined) if character == "/"]
    place = draw(st.sampled_from(places))
    code, ticket_id = joined[:place], joined[place + 1 :]
    if draw(st.booleans()) and 0 < len(code) <= 64 and 0 < len(ticket_id) <= 64:
        return notice, (code, ticket_id, notice[2], notice[3])
    return notice, draw(notices(actions))


@given(pairs(list(Action)))
def test_no_two_notices_share_an_idempotency_key(both):
    notice, other = both
    assume(notice != other)

    assert key_of(*notice) != key_of(*other)
    assert header(notice) != header(other)


@given(pairs(list(Action)))
def test_no_key_of_now_is_one_that_an_older_release_gave_another_notice(both):
    """It joined all of them by `/`; what it had not delivered is sent under the key it had."""
    notice, older = both
    assume(notice != older)
    assume("/" not in older[0] or "/" in notice[0] + notice[1])

    assert key_of(*notice) != plain_key(*older)


@given(pairs(sorted(RESULTS)))
def test_no_two_settlements_share_a_transaction_whatever_their_ids_hold(both):
    notice, other = both
    assume(notice != other)

    assert transaction(notice) != transaction(other)


@given(notices(list(Action)))
def test_a_key_without_the_joint_in_its_ids_is_the_one_it_always_was(notice):
    assume("/" not in notice[0] + notice[1])

    assert key_of(*notice) == f"{notice[0]}/{notice[1]}/{notice[2]}/{notice[3]}"


def header(notice: Notice) -> str:
    """The key as it is sent: a header holds printable ASCII alone."""
    claim = replace(WIN, stored_key=key_of(*notice))
    sent = PamAdapter().build_request(claim, PARTNER, secret="s", at=NOW).headers["Idempotency-Key"]
    assert sent.isascii()
    assert sent.isprintable()
    assert " " not in sent
    return sent


def transaction(notice: Notice) -> str:
    operator, ticket_id, action, generation = notice
    ticket = TicketState(1, ticket_id, replace(SEAMLESS, code=operator), details=dict(ROUND))
    made = message(ticket, NewNotice(action, generation, {}, event_id="e", at=AT))
    transaction_id: str = json.loads(made.body)["transactionId"]
    assert len(transaction_id) == 36, "a UUID, whatever the length of the ids"
    return transaction_id
