"""The command line: `shoal VERB SHOP ...`.

Only light modules are imported here, so that `shoal --help` answers at once; each verb imports what
it needs when it runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import typer
from typer.exceptions import TyperException

from shoal.cli import (
    adjust,
    audit,
    backtest,
    data,
    delivery,
    embed,
    explain,
    forgetting,
    keeping,
    membership,
    model,
    money,
    outside,
    people,
    probe,
    quality,
    reading,
    replay,
    rules,
    secret,
    segments,
    serve,
    sources,
    sync,
    upkeep,
    versions,
    webhooks,
)
from shoal.cli.console import Console, Logged
from shoal.domain.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    OperationError,
    ShoalError,
    UsageError,
)

#: What Typer makes of an interrupt; the contract says 1, with a message.
_INTERRUPTED: Final = 130

app = typer.Typer(
    name="shoal",
    help="Customer segments that move with the customers. Everything stays on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(show: bool) -> None:
    if show:
        from shoal.domain.version import __version__

        typer.echo(f"shoal {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Root options."""


for _module in (
    data, sources, people, forgetting, money, quality, outside, model, embed, probe, segments,
    rules, explain, delivery, membership, replay, backtest, versions, adjust, reading, sync,
    serve, webhooks, audit, secret, upkeep, keeping,
):  # fmt: skip
    _module.register(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with the exit code of the contract."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


@cache
def _command() -> Callable[..., Any]:
    """The command line as Typer makes it of `app`, made once: it takes longer than many verbs."""
    return typer.main.get_command(app)


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code and never raises."""
    console = Console(as_json="--json" in arguments)
    try:
        with Logged(console):
            code = _command()(args=list(arguments), prog_name="shoal", standalone_mode=False)
    except ShoalError as error:
        if error.code == "internal" and "--debug" in arguments:
            raise
        console.error(error)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _stopped(console)
    except TyperException as error:
        return _wrong_usage(console, error)
    except BrokenPipeError:
        return EXIT_FAILED
    except Exception as error:  # the last net: a person gets a message, the details go to --debug
        if "--debug" in arguments:
            raise
        return _unexpected(console, error)
    if code == _INTERRUPTED:
        return _stopped(console)
    return code if isinstance(code, int) else EXIT_DONE


def _stopped(console: Console) -> int:
    error = OperationError(
        "interrupted", "interrupted", hint="What was committed stays; run it again to go on."
    )
    console.error(error)
    return error.exit_code


def _wrong_usage(console: Console, error: TyperException) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "shoal"
    # `shoal` alone shows the help, which arrives here as a usage error that holds it.
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message())
        return EXIT_DONE
    usage = UsageError("usage", error.format_message(), hint=f"Try: {command} --help")
    console.error(usage)
    return usage.exit_code


def _unexpected(console: Console, error: Exception) -> int:
    from shoal.bootstrap import as_operation_error

    failure = as_operation_error(error)
    console.error(failure)
    return failure.exit_code


if __name__ == "__main__":
    main()
