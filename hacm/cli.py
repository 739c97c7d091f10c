"""The command line. Bad input: one sentence and exit code 2, never a traceback."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hacm.cli_prepare import prepare_app
from hacm.errors import HacmError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Self-supervised skeleton-based action recognition with cross masking.",
)
app.add_typer(prepare_app, name="prepare")


@app.command()
def info(
    store: Annotated[Path, typer.Argument(help="A store's directory.")],
    split: Annotated[str | None, typer.Option(help="Also count a split's two sides.")] = None,
    verify: Annotated[bool, typer.Option(help="Compare the files' checksums.")] = False,
) -> None:
    """Print what is in a store."""
    from hacm.data.describe import describe
    from hacm.data.store import SequenceStore

    typer.echo(describe(SequenceStore(store, verify=verify), split))


@app.command()
def show(
    run_dir: Annotated[Path, typer.Argument(help="A run's directory.")],
) -> None:
    """Print what a run and its evaluations came to."""
    from hacm.training.evaluate import summary
    from hacm.training.run import RESULT, read_json, read_run_config

    config = read_run_config(run_dir)
    typer.echo(f"{config.objective}, preset {config.preset}, {config.epochs} epochs")
    for file in sorted(run_dir.glob(f"eval/*/{RESULT}")):
        typer.echo(summary(read_json(file)))


def main() -> None:
    """Entry point of the `hacm` command."""
    try:
        app()
    except HacmError as error:
        print(f"hacm: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("hacm: stopped; the same command resumes where it can", file=sys.stderr)
        sys.exit(130)
