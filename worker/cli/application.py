"""The command `slipway`: its groups and the words of its front page."""

from typing import Annotated

import typer

from models.platform.version import version
from worker.cli import lifecycle, migrate
from worker.cli.demo import command as demo
from worker.cli.doctor import command as doctor
from worker.cli.events import commands as events
from worker.cli.help_pages import WIDTH_MAX, FullSentences
from worker.cli.notices import commands as notices
from worker.cli.operators import commands as operators
from worker.cli.operators import file_commands as operator_files
from worker.cli.partner import command as partner
from worker.cli.publish import command as publish
from worker.cli.publishers import commands as publishers
from worker.cli.simulate import command as simulate
from worker.cli.ticket_import import command as import_tickets
from worker.cli.tickets import commands as tickets
from worker.cli.up import command as up

app = typer.Typer(
    cls=FullSentences,
    help=(
        "Slipway moves betting tickets through their life: it applies what backends publish, tells"
        " the partner in order and signed, and closes each ticket after its delay."
    ),
    epilog=(
        "Exit codes: 0 done, or the answer is yes; 1 failed, or the answer is no; 2 wrong usage or"
        " set-up. Settings are environment variables: models/SETTINGS.md. Start with: slipway demo"
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH_MAX},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - Typer calls it with the option's value
    if wanted:
        typer.echo(f"slipway {version()}")
        raise typer.Exit


@app.callback()
def slipway(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Carry the options that stand before any command."""


app.command("demo", epilog=demo.EXAMPLE)(demo.demo)
app.command("up", epilog=up.EXAMPLE)(up.up)
app.command("migrate", epilog=migrate.EXAMPLE)(migrate.migrate)
operators.app.command("apply", epilog=operator_files.APPLY_EXAMPLE)(operator_files.apply)
operators.app.command("export", epilog=operator_files.EXPORT_EXAMPLE)(operator_files.export)
app.add_typer(operators.app, name="operators")
app.add_typer(publishers.app, name="publishers")
app.command("publish", epilog=publish.EXAMPLE)(publish.publish)
app.command("import", epilog=import_tickets.EXAMPLE)(import_tickets.import_tickets)
app.command("partner", epilog=partner.EXAMPLE)(partner.partner)
app.command("ticket", epilog=tickets.EXAMPLE)(tickets.ticket)
app.add_typer(tickets.app, name="tickets")
app.add_typer(events.app, name="events")
app.add_typer(notices.app, name="notices")
app.command("simulate", epilog=simulate.EXAMPLE)(simulate.simulate)
app.command("doctor", epilog=doctor.EXAMPLE)(doctor.doctor)
app.command("lifecycle", epilog=lifecycle.EXAMPLE)(lifecycle.lifecycle)
