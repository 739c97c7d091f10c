"""The command line. Bad input: one sentence and exit code 2, never a traceback."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hacm.cli_prepare import prepare_app
from hacm.errors import HacmError
from hacm.stops import STOP_SIGNALS

# Exit codes after a stop signal, of which typer makes that for Ctrl-C.
_STOPPED = [128 + signum for signum in STOP_SIGNALS]

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
    from hacm.training.records import RESULT, read_evaluation
    from hacm.training.run import read_run_config

    config = read_run_config(run_dir)
    typer.echo(f"{config.objective}, preset {config.preset}, {config.epochs} epochs")
    for file in sorted(run_dir.glob(f"eval/*/{RESULT}")):
        typer.echo(summary(read_evaluation(file.parent)))


@app.command()
def lab(
    store: Annotated[Path, typer.Argument(help="A store's directory.")],
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
) -> None:
    """Open JupyterLab at the Mask Lab, on this machine only."""
    from hacm.viz.lab_server import open_lab

    raise typer.Exit(open_lab(store, browser=browser))


@app.command()
def ensemble(
    run_dirs: Annotated[list[Path], typer.Argument(help="Runs evaluated on the same data.")],
    protocol: Annotated[str, typer.Option(help="Whose scores are added.")] = "linear",
) -> None:
    """Add the scores of several runs: joint, bone and motion streams."""
    from hacm.training.evaluate import summary
    from hacm.training.scores import ensemble

    result = ensemble(run_dirs, protocol)
    for stream in result["streams"]:
        score = f"{100 * stream['accuracy']:.1f} %"
        typer.echo(f"{stream['modality']:<6}  {score}  {stream['run']}")
    typer.echo(summary(result))


@app.command()
def sweep(
    file: Annotated[Path, typer.Argument(help="A sweep file, see papermill_runs/sweeps.")],
    runs: Annotated[Path, typer.Option(help="Where runs go.")] = Path("papermill_runs/runs"),
    jobs: Annotated[int, typer.Option(help="Runs at a time; more than 1: a thread each.")] = 1,
    data: Annotated[list[str] | None, typer.Option(help="NAME=STORE, can be repeated.")] = None,
) -> None:
    """Run a grid of experiments through papermill; finished ones are skipped."""
    from hacm.experiments.execute import Execution
    from hacm.experiments.sweep import read_sweep

    for entry in data or []:
        if "=" not in entry:
            raise HacmError(f"--data {entry}: expected NAME=STORE")
    stores = dict(entry.split("=", 1) for entry in data or [])
    status = Execution(read_sweep(file, runs, stores), jobs).run()
    failed = sum(one.state == "failed" for one in status)
    typer.echo(f"{len(status) - failed} of {len(status)} runs are complete in {runs / file.stem}")
    if failed:
        typer.echo(f"{failed} failed (see above); the same command tries them again", err=True)
        raise typer.Exit(1)


@app.command()
def report(
    runs: Annotated[Path, typer.Argument(help="A directory of runs, or a CSV file of results.")],
    out: Annotated[Path, typer.Argument(help="The HTML file to write.")],
    csv: Annotated[Path | None, typer.Option(help="Also write results and curves as CSV.")] = None,
    reference: Annotated[str, typer.Option(help="The variant others are compared with.")] = "",
) -> None:
    """Write tables, intervals and curves of many runs to one page."""
    from hacm.experiments.collect import load_tables, write_tables
    from hacm.experiments.report import remarks
    from hacm.viz.results_page import write_page

    results, curves = load_tables(runs)
    write_page(results, curves, out, reference)
    if csv is not None:
        write_tables(results, curves, csv)
    for sentence in remarks(results):
        typer.echo(f"note: {sentence}")
    typer.echo(f"{len(results)} results in {out}")


def main() -> None:
    """Entry point of the `hacm` command."""
    try:
        app()
    except HacmError as error:
        print(f"hacm: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as stop:
        if stop.code in _STOPPED:
            print("hacm: stopped; the same command resumes where it can", file=sys.stderr)
        raise
