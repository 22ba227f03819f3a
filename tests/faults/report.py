"""A trial's report as Markdown, as it stands in tests/faults/README.md."""

from tests.faults.chaos import RECOVERED_SECONDS_MAX, Report


def in_words(report: Report) -> str:
    """The counts of *report*, and what was wrong first."""
    records, trial = report.records, report.trial
    assert records is not None, "a trial ends with its books"
    lines = [
        f"Seed {trial.seed}: {trial.seconds:g} s of load, {trial.lives_per_second:g} lives/s,",
        f"a fault {trial.fault_every:g} s after the one before, for up to {trial.longest:g} s,",
        f"those of minutes for {trial.long:g} s, closing after {trial.close_delay.seconds} s.",
        "",
        "| fault | times | slowest recovery |",
        "|---|---|---|",
    ]
    for fault, times in sorted(report.faults.items()):
        slowest = report.slowest_recovery.get(fault)
        lines.append(f"| {fault} | {times} | {'-' if slowest is None else f'{slowest:.1f} s'} |")
    outcomes = ", ".join(f"{count} {name}" for name, count in sorted(records.outcomes.items()))
    raw = ", ".join(f"{count} {name}" for name, count in sorted(records.raw.items())) or "none"
    verdict, sums = records.verdict, records.reconciliation
    restarts = ", ".join(f"{count} {role}" for role, count in sorted(report.restarts.items()))
    rows = {
        "events published": records.published,
        "in the event log": outcomes,
        "sent or read again": records.repeats,
        "stored as rejected input": raw,
        "**lost**": len(records.lost),
        "left on the stream; unfinished": f"{records.left_on_stream}; {records.unfinished}",
        "repeats at the partner (after a follower)": f"{verdict.repeats} ({verdict.late_repeats})",
        "**illegal sequences**; changed repeats": f"{verdict.illegal}; {verdict.changed_repeats}",
        "**early closes** (partner; database)": f"{verdict.early}; {records.early}",
        "latest close behind its time": f"{records.latest_close.total_seconds():.1f} s",
        "notified in full; shortened; cancelled; wrong; missing": (
            f"{sums.complete}; {sums.shortened}; {sums.cancelled}; {sums.wrong}; {sums.missing}"
        ),
        "creates and reserves cancelled": records.cancelled.in_words() or "none",
        "**cancelled without cause**": records.cancelled.without_cause,
        "**file descriptors** of one process (first/most/last)": (
            f"{report.descriptors.in_words()}: {'' if report.descriptors.flat else 'NOT '}flat"
        ),
        "slowest recovery": _slowest(report),
        "wrong clocks": report.clocks,
        "left out": ", ".join(sorted(report.left_out)) or "nothing",
        "restarts": restarts,
        "ended by themselves": ", ".join(report.bad_ends) or "none",
        "exit codes at the end": sorted(set(report.exit_codes)),
        "drained": f"{report.drained_after:.1f} s after the load",
    }
    table = [f"| {what} | {count} |" for what, count in rows.items()]
    problems = (*verdict.violations, *sums.discrepancies, *records.cancelled.words)
    lines += ["", "| what | how many |", "|---|---|", *table, *(f"- {text}" for text in problems)]
    return "\n".join(lines)


def _slowest(report: Report) -> str:
    """The kind of fault after which it took longest until the work went on."""
    if not report.slowest_recovery:
        return "none"
    seconds, kind = max((seconds, kind) for kind, seconds in report.slowest_recovery.items())
    return f"{seconds:.1f} s ({kind}; at most {RECOVERED_SECONDS_MAX:g} s)"
