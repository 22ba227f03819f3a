"""How help pages are laid out: each command's first sentence in full, on wide terminals too."""

from typing import TYPE_CHECKING, Final

from typer.core import TyperGroup

if TYPE_CHECKING:  # Typer exports neither name; only the types are needed
    from typer._click import Context, HelpFormatter

WIDTH_MAX: Final = 110  # longer lines are hard to read
_NO_LIMIT: Final = 1000


class FullSentences(TyperGroup):
    """A group whose list of commands wraps what they do, where Typer would cut it off."""

    def format_commands(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """List every visible command with the first sentence of its help."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, command.get_short_help_str(_NO_LIMIT))
            for name, command in commands
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
