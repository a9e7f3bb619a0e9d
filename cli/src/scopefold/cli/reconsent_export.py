"""`scopefold reconsent export`: the worklist as a file, for spreadsheets and for programs."""

import sys
from pathlib import Path
from typing import BinaryIO

import click

from scopefold.cli.failure import usage
from scopefold.cli.where import Where, located
from scopefold.cli.worklist import narrowed


@click.command("export")
@narrowed
@click.option("--format", "kind", type=click.Choice(["csv", "jsonl", "parquet"]), default="csv", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Where to; - is standard output.")
@located
def export(where: Where, asked: dict[str, str], kind: str, output: Path) -> None:
    """Write the worklist to a file: a line for each scope that a user lacks and each connector that needs it."""
    auth, params = where.auth(), {**asked, "format": kind}

    def write(file: BinaryIO) -> None:
        auth.download("/v1/reconsent/export", params, file)

    if str(output) == "-":
        write(sys.stdout.buffer)
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("wb") as file:
            write(file)
        part.replace(output)  # a file that is there is whole
    except OSError as error:
        raise usage("The file cannot be written", f"{output}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
