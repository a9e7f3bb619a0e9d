"""The command itself: its groups, and how every failure of theirs is told."""

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click
import msgspec

from scopefold.cli.commands import Commands
from scopefold.cli.failure import Failure, defect, usage
from scopefold.runtime.leave import leave

INTERRUPTED = 130


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="scopefold")
def scopefold() -> None:
    """Scopefold: what must each identity provider be asked for, and who must consent again?

    `scopefold demo` shows what it does; `scopefold up --sandbox` starts it here.

    Exit code 0: done. 1: refused, or something is wrong. 2: used or set up wrongly. 3: a service is unreachable.
    """


def run(arguments: Sequence[str]) -> int:
    """Run a command line; its exit code. 1: refused, 2: used or set up wrongly, 3: a service is unreachable."""
    try:
        code = scopefold.main(args=list(arguments), prog_name="scopefold", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except Failure as failure:
        return _tell(failure, arguments)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "scopefold"
        return _tell(usage(error.format_message().rstrip("."), f"try {path} --help"), arguments)
    except click.ClickException as error:
        return _tell(usage(error.format_message()), arguments)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough, as `head` does: end quietly, as click does where it meets this.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if "SCOPEFOLD_TRACEBACK" in os.environ:
            raise
        detail = f"{type(error).__name__}: {error}. Set SCOPEFOLD_TRACEBACK=1 to see where, and report it"
        return _tell(defect("This is a defect of scopefold", detail), arguments)


def _tell(failure: Failure, arguments: Sequence[str]) -> int:
    if "--json" in arguments:
        click.echo(msgspec.json.encode(failure.problem).decode(), err=True)
    else:
        click.echo(f"scopefold: {failure}", err=True)
    return failure.exit_code


def collect_seldom() -> None:
    """Let Python look for cycles of dead objects less often: a command that reads a log makes millions of values, none
    of which is in a cycle, and would spend a fifth of its time on looking."""
    gc.set_threshold(100_000, 20, 20)


def main() -> NoReturn:
    """The entry point."""
    collect_seldom()
    leave(lambda: run(sys.argv[1:]))
