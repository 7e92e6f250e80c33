"""`completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from app.settings import COMMAND

_INTO: Final = {
    "bash": '~/.bashrc: eval "$(mediaops-sync completion bash)"',
    "zsh": '~/.zshrc, after compinit: eval "$(mediaops-sync completion zsh)"',
    "fish": "~/.config/fish/config.fish: mediaops-sync completion fish | source",
}
VARIABLE: Final = f"_{COMMAND.replace('-', '_').upper()}_COMPLETE"  # what click looks for


@click.command(epilog="\b\n" + "\n".join(f"Into {line}" for line in _INTO.values()))
@click.argument("shell", type=click.Choice(tuple(_INTO)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script by which SHELL completes the commands and options of mediaops-sync."""
    shell_class = get_completion_class(shell)
    if shell_class is None:
        raise click.ClickException(f"There is no completion for {shell}.")
    # Not its `source()`: that of bash starts a bash to look at its version.
    made = shell_class(ctx.find_root().command, {}, COMMAND, VARIABLE)
    click.echo(made.source_template % made.source_vars())
