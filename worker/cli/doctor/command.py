"""`slipway doctor`: what is wrong with this set-up, and how to fix it."""

from worker.cli.doctor import report
from worker.cli.help_pages import one_command
from worker.cli.options import AsJson

app = one_command()


@app.command(epilog="Example: slipway doctor    or, for programs: slipway doctor --json")
def doctor(*, as_json: AsJson = False) -> None:
    """Check settings, servers, partners and processes, and suggest what to fix.

    Takes some seconds and changes nothing. Exit code 1 if something is wrong.
    """
    report.report_all(as_json=as_json)
