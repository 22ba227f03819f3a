"""What an intake reclaims: an entry that kills its readers must come alone (H46)."""

from datetime import timedelta

from worker.intake.stream import PendingEntry, choose_to_reclaim


def pending(*deliveries: int) -> list[PendingEntry]:
    return [
        PendingEntry(id=f"{number}-0", idle=timedelta(minutes=1), deliveries=count)
        for number, count in enumerate(deliveries)
    ]


def ids(entries: list[PendingEntry]) -> list[str]:
    return [entry.id for entry in entries]


def test_nothing_pending_is_nothing_to_reclaim():
    assert choose_to_reclaim([]) == []


def test_what_was_delivered_once_is_taken_together():
    assert ids(choose_to_reclaim(pending(1, 1, 1))) == ["0-0", "1-0", "2-0"]


def test_a_suspect_waits_until_everything_else_is_done():
    assert ids(choose_to_reclaim(pending(1, 2, 1))) == ["0-0", "2-0"]


def test_suspects_are_taken_one_by_one_the_oldest_first():
    assert ids(choose_to_reclaim(pending(2, 5, 2))) == ["0-0"]


def test_neighbours_of_a_killer_are_delivered_no_more_often_than_three_times():
    """Ten entries, one of which kills every process that reads it."""
    counts = dict.fromkeys(range(10), 1)
    killer, deaths = 4, 1
    while counts.keys() - {killer}:
        taken = choose_to_reclaim(
            [PendingEntry(f"{n}-0", timedelta(minutes=1), count) for n, count in counts.items()]
        )
        numbers = [int(entry.id.partition("-")[0]) for entry in taken]
        for number in numbers:
            counts[number] += 1
            assert number == killer or counts[number] <= 3
        if killer in numbers:
            deaths += 1
            counts[killer] = counts.pop(killer)  # idle again only after the others
        else:
            for number in numbers:
                del counts[number]

    assert deaths <= 3
