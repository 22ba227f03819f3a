"""How help pages are laid out: each command's first sentence in full, on wide terminals too."""

from typing import TYPE_CHECKING, Final

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:  # Typer exports neither name; only the types are needed
    from typer._click import Context, HelpFormatter

WIDTH_MAX: Final = 110  # longer lines are hard to read
_NO_LIMIT: Final = 1000


class FullSentences(TyperGroup):
    """A group whose list of commands wraps what they do, where Typer would cut it off."""

    def format_commands(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """List every command with the first sentence of its help."""
        rows = [(name, self.line_of_help(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def line_of_help(self, ctx: "Context", name: str) -> str:
        """Return the first sentence of the help of the command called *name*."""
        command = self.get_command(ctx, name)
        return "" if command is None else command.get_short_help_str(_NO_LIMIT)


def one_command() -> typer.Typer:
    """Return an application for one command without a group, as `slipway doctor` is."""
    return typer.Typer(add_completion=False, rich_markup_mode=None)


def command_group(text: str) -> typer.Typer:
    """Return an application for a group of commands; *text* introduces it on its help page."""
    return typer.Typer(
        cls=FullSentences,
        help=text,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
    )
