"""The entry point: the group of all commands, and what each failure says and exits with.

Exit codes: 0 done; 1 the API refused, or something was found wrong; 2 nothing could be done (wrong usage or
settings, API not reachable).
"""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import click

from app.cli.completion import completion
from app.cli.doctor import doctor
from app.cli.output import clean
from app.cli.session import Session
from app.client import ApiRefused, Unreachable
from app.local.up import up
from app.packages import PACKAGES
from app.settings import InvalidSettings, own_command


class _Failing(click.Group):
    """Turns what a command raises into a sentence, what to do next, and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InvalidSettings as error:
            _end(ctx, str(error), f"`{own_command('doctor')}` checks them.", 2)
        except Unreachable as error:
            hint = (
                f"Is it running? `{own_command('up')}` (or `make run`) starts everything; --url names another address; "
                f"`{own_command('doctor')}` looks closer."
            )
            _end(ctx, f"The API isn't reachable at {error}.", hint, 2)
        except ApiRefused as error:
            texts = [f"{field}: {text}" if field else text for field, text in error.problems]
            _end(ctx, "\n".join(map(clean, texts)), _hint(error), 1)


def _end(ctx: click.Context, text: str, hint: str | None, code: int) -> None:
    click.echo(text, err=True)
    if hint:
        click.echo(hint, err=True)
    ctx.exit(code)


def _hint(error: ApiRefused) -> str | None:
    if error.status == 401:
        return "Give a token that this API knows: --token-file FILE or MEDIAOPS_API_TOKEN."
    if error.status == 403:
        return f"`{own_command('tokens create')} NAME --scope …`, with an admin's token, makes one that may."
    if error.status == 503:
        return f"Try again in {error.retry_after_s or 2:g} s; `{own_command('doctor')}` looks closer."
    if error.status >= 500 and error.call_id:
        return f"Call id {error.call_id}: look for it in the API's log."
    return None


@click.group(cls=_Failing, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--url", metavar="URL", help="The API's address; by default that of the settings, or of a running `up`."
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file that holds the bearer token.",
)
@click.pass_context
def main(ctx: click.Context, url: str | None, token_file: Path | None) -> None:
    """Keeps AVOS in step with planning."""
    ctx.obj = Session(url, token_file)


def _add(names: str, command: click.Command) -> None:
    """`names`: the command's name, after that of its group where it is in one."""
    group, _, name = names.rpartition(" ")
    parent = main.commands[group] if group else main
    if not isinstance(parent, click.Group):
        raise TypeError(f"{group} is no group of commands")
    parent.add_command(command, name)


for own in (up, doctor, completion):
    main.add_command(own)
# A group may be of a package above: those first that are in none.
for names, place in sorted(
    (item for package in PACKAGES for item in package.commands.items()), key=lambda item: item[0].count(" ")
):
    _add(names, resolve_name(place))
