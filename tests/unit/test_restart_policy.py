"""When a process that died comes back: at once, then with pauses up to 5 s (design.md 4)."""

from datetime import timedelta

from worker.local.supervisor.restart import LIVED_LONG, PAUSES, after_death

A_MOMENT = timedelta(seconds=1)


def test_a_first_death_is_answered_at_once():
    assert after_death(deaths_before=0, lived=A_MOMENT).pause == timedelta(0)


def test_pauses_grow_to_five_seconds_and_stay_there():
    pauses, deaths = [], 0
    for _ in range(len(PAUSES) + 2):
        restart = after_death(deaths_before=deaths, lived=A_MOMENT)
        deaths = restart.deaths
        pauses.append(restart.pause)

    assert pauses == sorted(pauses)
    assert pauses[-3:] == [timedelta(seconds=5)] * 3


def test_whoever_lived_long_starts_with_a_clean_record():
    restart = after_death(deaths_before=7, lived=LIVED_LONG)

    assert (restart.pause, restart.deaths) == (timedelta(0), 1)
