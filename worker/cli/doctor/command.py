"""`slipway doctor`: what is wrong with this set-up, and how to mend it."""

from worker.cli.options import AsJson

EXAMPLE = "Example: slipway doctor    or, for programs: slipway doctor --json"


def doctor(*, as_json: AsJson = False) -> None:
    """Look at settings, servers, partners and processes, and say how to mend what is wrong.

    Takes some seconds and leaves nothing changed. Exit code 1 if something is wrong.
    """
    from worker.cli.doctor.report import report  # noqa: PLC0415 - as worker.cli says

    report(as_json=as_json)
