"""A partner's own terms of delivery: what is read, and what is refused with which advice."""

from datetime import timedelta
from typing import Any

import pytest

from models.operators import OperatorInvalid, OperatorTerms
from models.operators.delivery_terms import (
    ALWAYS_SENT,
    SENDABLE,
    delivery_warnings,
    parse_actions,
    parse_pauses,
)
from models.operators.statuses import ANY_SUCCESS, ONLY_OK, Statuses
from models.operators.validation import check_terms
from models.vocabulary import Action


def terms(**own: object) -> OperatorTerms:
    given: dict[str, Any] = {
        "code": "acme",
        "url": "https://pam.acme.example/hook",
        "protocol": "pam",
    }
    return OperatorTerms(**(given | own))


@pytest.mark.parametrize(
    ("text", "within", "without"),
    [
        ("200", [200], [201, 204, 409]),
        ("2xx", [200, 201, 299], [199, 300, 409]),
        ("2xx, 409", [202, 409], [408, 410]),
        ("404,3xx", [300, 399, 404], [200, 400]),
    ],
)
def test_statuses_are_listed_alone_and_by_class(text, within, without):
    statuses = Statuses.parse(text)
    assert all(status in statuses for status in within)
    assert not any(status in statuses for status in without)


@pytest.mark.parametrize("text", ["", "1xx", "100", "600", "20", "2xx;409", "ok", "200," * 30])
def test_what_is_no_list_of_statuses_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="2xx,409"):
        Statuses.parse(text)


def test_the_defaults_are_those_of_the_contract():
    assert (299 in ANY_SUCCESS, 200 in ONLY_OK, 201 in ONLY_OK) == (True, True, False)


def test_pauses_and_actions_are_read():
    assert parse_pauses("10s, 1m,1h") == tuple(timedelta(seconds=n) for n in (10, 60, 3600))
    assert parse_actions("ticket_win") == {Action.WIN, *ALWAYS_SENT}
    assert parse_actions(",".join(SENDABLE)) == set(SENDABLE)


@pytest.mark.parametrize(
    ("own", "field", "advice"),
    [
        ({"timeout": timedelta(milliseconds=999)}, "timeout", "from 1s to 1m"),
        ({"timeout": timedelta(seconds=61)}, "timeout", "from 1s to 1m"),
        ({"retry_limit": timedelta(seconds=59)}, "retry_limit", "from 1m to 14d"),
        ({"retry_schedule": "10"}, "retry_schedule", "write numbers with a unit"),
        ({"retry_schedule": "0s"}, "retry_schedule", "a pause must be from 1s to 24h"),
        ({"retry_schedule": ",".join(["1m"] * 21)}, "retry_schedule", "at most 20 pauses"),
        (
            {"retry_schedule": "1h,2h", "retry_limit": timedelta(hours=1)},
            "retry_schedule",
            "longer than the retry limit",
        ),
        ({"taken": "2xx,ok"}, "taken", "'ok' is not an HTTP status"),
        ({"create_taken": "20x"}, "create_taken", "'20x' is not an HTTP status"),
        ({"success_text": ""}, "success_text", "1 to 200 characters"),
        ({"success_text": "O\nK"}, "success_text", "one line"),
        ({"wants": "ticket_won"}, "wants", "ticket_win,ticket_lost"),
        ({"wants": ""}, "wants", "is not an action"),
        ({"wants": "ticket_win"}, "wants", "add ticket_rollback, which belongs to ticket_win"),
        ({"wants": "ticket_rollback"}, "wants", "leave out ticket_rollback"),
        ({"protocol": "seamless", "agent": "us", "wants": "ticket_win"}, "wants", "moves money"),
        ({"user_agent": "a\r\nX: y"}, "user_agent", "printable ASCII"),
        ({"user_agent": " a"}, "user_agent", "without a space at either end"),
        ({"user_agent": "ä"}, "user_agent", "printable ASCII"),
        ({"keep_bodies": timedelta(days=4000)}, "keep_bodies", "from 1h to 3660d"),
        ({"keep_bodies": timedelta(minutes=59)}, "keep_bodies", "from 1h to 3660d"),
        ({"protocol": "seamless", "agent": "us", "taken": "2xx"}, "taken", "status.code"),
        (
            {"protocol": "seamless", "agent": "us", "success_json": True},
            "success_json",
            "always JSON",
        ),
    ],
)
def test_a_mistake_says_what_to_write(own, field, advice):
    with pytest.raises(OperatorInvalid) as refusal:
        check_terms(terms(**own))
    (problem,) = refusal.value.problems
    assert problem.field == field
    assert advice in problem.text


def test_whatever_is_allowed_is_accepted_together():
    check_terms(
        terms(
            user_agent="Acme-Bets/1.0 (+ops@acme.example)",
            timeout=timedelta(seconds=30),
            retry_schedule="5s,1m,1h",
            retry_limit=timedelta(hours=12),
            taken="2xx,409",
            create_taken="2xx",
            success_json=True,
            success_text='"ok":true',
            wants="ticket_win,ticket_lost,ticket_rollback,ticket_closed",
            keep_bodies=timedelta(days=30),
        )
    )


@pytest.mark.parametrize(
    ("own", "advice"),
    [
        (
            {"retry_limit": timedelta(days=8)},
            "retry limit 8d is not shorter than SLIPWAY_RET",
        ),
        ({"retry_limit": timedelta(days=7)}, "SLIPWAY_RETENTION (7d)"),
        ({"retry_limit": timedelta(minutes=30)}, "not longer than SLIPWAY_DISCARD_INTERVAL (30m)"),
        ({"keep_bodies": timedelta(days=7)}, "kept for 7d, which is not shorter than SLIPWAY_RET"),
        ({"retry_schedule": "10s,12h"}, "ends with 12h, which is longer than SLIPWAY_RETRY_LIMIT"),
    ],
)
def test_what_does_not_fit_the_settings_is_a_warning_that_names_them(own, advice):
    (warning,) = warnings_of(**own)
    assert advice in warning


def test_terms_that_fit_the_settings_bring_no_warning():
    assert warnings_of() == []
    assert warnings_of(retry_schedule="10s,12h", retry_limit=timedelta(hours=24)) == []
    assert warnings_of(retry_limit=timedelta(minutes=31)) == []


def warnings_of(**own: object) -> list[str]:
    return list(
        delivery_warnings(
            terms(**own),
            retention=timedelta(days=7),
            discard_interval=timedelta(minutes=30),
            retry_limit=timedelta(hours=6),
        )
    )
