"""When a process that exited is restarted: at once, then with pauses up to 5 s."""

from datetime import timedelta

from worker.local.supervisor.runner import PAUSES, STABLE_AFTER, restart_after

A_MOMENT = timedelta(seconds=1)


def test_after_a_first_exit_it_is_restarted_at_once():
    assert restart_after(exits_before=0, uptime=A_MOMENT).pause == timedelta(0)


def test_pauses_grow_to_five_seconds_and_stay_there():
    pauses, exits = [], 0
    for _ in range(len(PAUSES) + 2):
        restart = restart_after(exits_before=exits, uptime=A_MOMENT)
        exits = restart.exits
        pauses.append(restart.pause)

    assert pauses == sorted(pauses)
    assert pauses[-3:] == [timedelta(seconds=5)] * 3


def test_a_process_that_ran_long_starts_with_a_clean_record():
    restart = restart_after(exits_before=7, uptime=STABLE_AFTER)

    assert (restart.pause, restart.exits) == (timedelta(0), 1)
