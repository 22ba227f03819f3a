"""`slipway doctor`: what is wrong with this set-up, and how to fix it."""

from datetime import UTC, datetime

import typer

from worker.cli import output
from worker.cli.errors import FAILED
from worker.cli.help_pages import one_command
from worker.cli.options import AsJson
from worker.doctor import checks
from worker.doctor.finding import Finding, State

_SIGNS = {State.OK: "✓", State.DOUBTFUL: "!", State.WRONG: "✗", State.UNKNOWN: "?"}

app = one_command()


@app.command(epilog="Example: slipway doctor    or, for programs: slipway doctor --json")
def doctor(*, as_json: AsJson = False) -> None:
    """Check settings, servers, partners and processes, and suggest what to fix.

    Takes some seconds and changes nothing. Exit code 1 if something is wrong.
    """
    findings = []
    for finding in checks.check_all(now=datetime.now(UTC)):
        findings.append(finding)
        if not as_json:
            _show(finding)
    wrong = [finding for finding in findings if finding.state is State.WRONG]
    if as_json:
        output.show_json({"healthy": not wrong, "findings": findings})
    else:
        typer.echo(f"{len(wrong)} wrong" if wrong else "nothing is wrong")
    if wrong:
        raise typer.Exit(FAILED)


def _show(finding: Finding) -> None:
    line = f"{finding.part}: {finding.detail}"
    typer.echo(f"{_SIGNS[finding.state]} {output.as_text(line)}")
    if finding.remedy is not None:
        typer.echo(f"    -> {output.as_text(finding.remedy)}")
