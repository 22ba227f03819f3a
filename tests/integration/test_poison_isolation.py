"""An error in one entry affects that entry alone (rule 21, H44 to H46)."""

import json
from collections import Counter
from datetime import timedelta

from sqlalchemy import event

from models.events.event import Entry
from tests.support.poison import refuse_events


def win(**changes: object) -> bytes:
    """A result, with some fields of `data` changed."""
    data = {"operator": "acme", "ticket_id": "BAD", **changes}
    return json.dumps({"action": "ticket_win", "data": data}).encode()


BAD = {
    "not JSON": (b"ticket_win", "not_json"),
    "an empty text": (b"", "not_json"),
    "half a text": (win()[:-1], "not_json"),
    "no object": (b'["ticket_win"]', "invalid_event"),
    "no data": (b'{"action":"ticket_win"}', "invalid_event"),
    "no ticket": (b'{"action":"ticket_win","data":{"operator":"acme"}}', "invalid_event"),
    "a wrong type": (win(ticket_id=5), "invalid_event"),
    "an unknown action": (win().replace(b"ticket_win", b"ticket_lose"), "unknown_action"),
    "an id of 65 characters": (win(ticket_id="x" * 65), "invalid_event"),
    "2 MB": (win(note="x" * 2_000_000), "too_large"),
    "a NUL": (win(note="a\x00b"), "invalid_event"),
    "a raw NUL": (win(note="a").replace(b'"a"', b'"\x00"'), "not_json"),
    "5000 nested objects": (
        win(note=1).replace(b"1", b'{"a":' * 5000 + b"1" + b"}" * 5000),
        "not_json",
    ),
    "invalid UTF-8": (win(note="x").replace(b'"x"', b'"\xff\xfe"'), "not_utf8"),
    "a lone surrogate": (win(note="x").replace(b'"x"', rb'"\ud800"'), "not_json"),
    "no number": (win(note=1).replace(b": 1", b": NaN"), "invalid_event"),
    "an endless number": (win(note=1).replace(b": 1", b": 1e999"), "invalid_event"),
    "100,000 digits": (win(note=1).replace(b": 1", b": " + b"7" * 100_000), "not_json"),
    "a stranger's ticket": (win(operator="stranger"), "unknown_operator"),
}


def test_a_bad_entry_is_kept_raw_and_its_neighbours_are_applied(harness, records):
    for number, (kind, (raw, reason)) in enumerate(BAD.items()):
        entry = harness.raw(raw)
        left, right = f"L{number}", f"R{number}"
        applied = harness.publish(
            harness.event("ticket_win", left), entry, harness.event("ticket_lost", right)
        )

        kept = records.rejected()[-1]
        assert (records.standing(left), records.standing(right)) == (
            "resulted/won",
            "resulted/lost",
        )
        assert (kept.entry_id, bytes(kept.raw), kept.reason) == (entry.id, raw, reason), kind
        assert len(kept.message) > len("wrong"), kind
        assert applied.outcomes.total() == 3, kind
        assert sum(n for (_, end), n in applied.outcomes.items() if end == "rejected") == 1, kind


def test_all_kinds_of_bad_entries_at_once_leave_their_neighbours_alone(harness, records):
    bad = [harness.raw(raw) for raw, _ in BAD.values()]
    good = [harness.event("ticket_win", f"T{number}") for number in range(len(bad))]

    applied = harness.publish(*(entry for pair in zip(bad, good, strict=True) for entry in pair))

    assert applied.outcomes["ticket_win", "applied"] == len(good)
    assert [row.entry_id for row in records.rejected()] == sorted(entry.id for entry in bad)


def test_the_message_names_the_operator_that_is_missing_and_the_way_out(harness, records):
    harness.publish(harness.event("ticket_win", "T", event_id="e", operator="stranger"))

    (kept,) = records.rejected()
    assert "'stranger'" in kept.message
    assert "add it, then retry" in kept.message
    assert (kept.operator, kept.ticket_id, kept.event_id) == ("stranger", "T", "e")


def test_an_entry_without_the_field_is_kept_as_it_came(harness, records):
    harness.publish(Entry("1700000000000-1", {b"evnt": b"{}", b"\xff": b"\x00"}))

    (kept,) = records.rejected()
    assert bytes(kept.raw) == b"evnt={}\n\xff=\x00"
    assert "XADD ticket-events" in kept.message


def test_poison_is_found_alone_and_its_neighbours_go_through(harness, records, engine):
    """Rule 21: the batch is halved until the poison is alone."""
    refuse_events(engine)
    batch = [harness.event("ticket_win", f"T{n}", event_id=f"good-{n}") for n in range(100)]
    batch[61] = harness.event("ticket_win", "T61", event_id="poison")

    applied = harness.publish(*batch)

    assert applied.outcomes == {("ticket_win", "applied"): 99, ("unreadable", "rejected"): 1}
    (kept,) = records.rejected()
    assert kept.reason == "poison"
    assert kept.entry_id == batch[61].id
    assert bytes(kept.raw) == batch[61].fields[b"event"]
    assert "this row breaks the table" in kept.message


def test_finding_poison_takes_few_transactions(harness, engine):
    """Each halving is one more try: 2 x log2(500), not 500."""
    refuse_events(engine)
    batch = [harness.event("ticket_win", f"T{number}") for number in range(499)]
    tries = Counter[str]()
    event.listen(engine, "begin", lambda _: tries.update(["begun"]))

    harness.publish(harness.event("ticket_win", "BAD", event_id="poison"), *batch)

    assert tries["begun"] <= 2 * 9 + 2


def test_every_poison_of_a_batch_is_found(harness, records, engine):
    refuse_events(engine)
    batch = [
        harness.event("ticket_win", f"T{n}", event_id=f"{'poison' if n % 3 else 'good'}-{n}")
        for n in range(24)
    ]

    applied = harness.publish(*batch)

    assert applied.outcomes == {("ticket_win", "applied"): 8, ("unreadable", "rejected"): 16}
    assert {row.reason for row in records.rejected()} == {"poison"}


def test_poison_beside_other_events_of_its_ticket_takes_none_of_them_along(
    harness, records, engine
):
    """Rule 21: left before right, so the ticket's history stays whole (H45)."""
    refuse_events(engine)

    harness.publish(
        harness.event("ticket_win"),
        harness.event("ticket_rollback"),
        harness.event("ticket_void", event_id="poison"),
        harness.event("ticket_lost"),
        harness.event("ticket_rollback"),
        harness.event("ticket_win"),
    )

    assert records.standing() == "resulted/won"
    assert records.notice_actions() == [
        "ticket_win",
        "ticket_rollback",
        "ticket_lost",
        "ticket_rollback",
        "ticket_win",
    ]


def test_a_split_keeps_the_events_of_a_neighbour_s_ticket_together(harness, records, engine):
    """Rule 21: between tickets first. Apart, the rollback of each neighbour would be parked."""
    refuse_events(engine)
    start = harness.now
    harness.wait(timedelta(minutes=1))
    backs = [harness.event("ticket_rollback", f"T{n}", at=harness.now) for n in range(8)]
    poison = harness.event("ticket_win", "BAD", event_id="poison")
    wins = [harness.event("ticket_win", f"T{n}", at=start) for n in range(8)]

    applied = harness.publish(*backs, poison, *wins)

    assert applied.outcomes == {
        ("ticket_rollback", "applied"): 8,
        ("ticket_win", "applied"): 8,
        ("unreadable", "rejected"): 1,
    }
    assert records.notice_actions("T7") == ["ticket_win", "ticket_rollback"]


def test_what_was_delivered_six_times_is_stored_as_rejected_input_unread(harness, records):
    """H46: it kills its reader."""
    deadly = harness.event("ticket_win", "DEADLY", deliveries=6)

    harness.publish(harness.event("ticket_win", "ILL", deliveries=5), deadly)

    assert records.standing("ILL") == "resulted/won"
    (kept,) = records.rejected()
    assert (kept.reason, kept.entry_id) == ("poison", deadly.id)
    assert "6 times" in kept.message
