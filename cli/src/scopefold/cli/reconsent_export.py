"""`scopefold reconsent export`: the worklist as a file, for spreadsheets and for programs."""

import sys
from pathlib import Path
from typing import BinaryIO, get_args

import click

from scopefold.cli.failure import usage
from scopefold.cli.names import names_told
from scopefold.cli.sealed import segments_option
from scopefold.cli.sealed_worklist import sealed_export
from scopefold.cli.table import plain
from scopefold.cli.where import Where, located
from scopefold.cli.worklist import narrowed
from scopefold.consent.export import Format


@click.command("export")
@narrowed
@click.option("--format", "kind", type=click.Choice(get_args(Format)), default="csv", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Where to; - is standard output.")
@segments_option("Answer from these sealed segments alone, without the service.")
@located
def export(*, where: Where, asked: dict[str, str], kind: Format, output: Path, place: str | None) -> None:
    """Write the worklist to a file: a line for each scope that a user lacks and each connector that needs it."""

    def write(file: BinaryIO) -> None:
        if place is not None:
            sealed_export(place, where, asked, kind, file)
        else:
            with names_told():
                where.auth().download("/v1/reconsent/export", {**asked, "format": kind}, file)

    if str(output) == "-":
        write(sys.stdout.buffer)
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("wb") as file:
            write(file)
        rows = _rows(kind, part)
        part.replace(output)  # a file that is there is whole
    except OSError as error:
        raise usage("The file cannot be written", f"{output}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"Wrote {rows} to {plain(str(output))}.", err=True)


def _rows(kind: Format, written: Path) -> str:
    """How many rows a file has, in words. What is in Parquet only its own library can tell, which need not be here."""
    if kind == "parquet":
        return "the worklist"
    with written.open("rb") as file:
        ends = sum(1 for _ in file)  # no cell has an end of line in it
    rows = ends - 1 if kind == "csv" else ends
    return "1 row" if rows == 1 else f"{rows} rows"
