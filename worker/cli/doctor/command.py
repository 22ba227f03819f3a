"""`slipway doctor`: what is wrong with this set-up, and how to mend it."""

from worker.cli.doctor import report
from worker.cli.help_pages import one_command
from worker.cli.options import AsJson

app = one_command()


@app.command(epilog="Example: slipway doctor    or, for programs: slipway doctor --json")
def doctor(*, as_json: AsJson = False) -> None:
    """Look at settings, servers, partners and processes, and say how to mend what is wrong.

    Takes some seconds and leaves nothing changed. Exit code 1 if something is wrong.
    """
    report.report(as_json=as_json)
