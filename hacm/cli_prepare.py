"""`hacm prepare ...`: one command a data set, from raw files to a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hacm.data.source import Source

prepare_app = typer.Typer(
    no_args_is_help=True, help="Turn raw files into a store, one command a data set."
)

Raw = Annotated[
    Path,
    typer.Argument(help="The folder with the raw files, or an archive (zip, tar, tar.gz, ...)."),
]
Out = Annotated[Path, typer.Argument(help="The new store's directory.")]
Jobs = Annotated[int, typer.Option(min=1, help="Processes that read.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first fault.")]
Half = Annotated[bool, typer.Option("--float16", help="Half the space; the error is reported.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing store.")]
Center = Annotated[
    bool | None,
    typer.Option(
        "--center/--no-center",
        help="Move the origin joint to zero in the first frame; default: as the set's common "
        "procedure does.",
    ),
]
Layout = Annotated[
    str | None, typer.Option(help="kinect_v2, kinect_v1 or coco17, if it cannot be found out.")
]
Values = Annotated[
    int | None,
    typer.Option(help="2 or 3: how many of a joint's values are coordinates; a score is none."),
]
Unit = Annotated[
    str | None,
    typer.Option(help="mm, cm or m: what the coordinates are in; by default metres, if bones fit."),
]
Up = Annotated[
    str | None, typer.Option(help="x, y, z, -x, -y or -z: the axis that points up; default: y.")
]


@prepare_app.command()
def ntu(
    raw: Raw,
    out: Out,
    skip_list: Annotated[
        Path | None, typer.Option(help="The owners' text file of samples without skeletons.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(help="60 or 120; by default found out from the names.")
    ] = None,
    jobs: Jobs = 1,
    strict: Strict = False,
    unit: Unit = None,
    up: Up = None,
    center: Center = None,
    float16: Half = False,
    overwrite: Overwrite = False,
) -> None:
    """NTU RGB+D 60 or 120: `.skeleton` files."""
    from hacm.data.ntu import ntu_source

    source = ntu_source(raw, skip_list=skip_list, classes=classes)
    _run(source, out, center, float16, overwrite, unit, up, strict, jobs)


@prepare_app.command()
def pkummd(
    raw: Raw,
    out: Out,
    phase: Annotated[int, typer.Option(min=1, max=2, help="1 or 2.")],
    jobs: Jobs = 1,
    strict: Strict = False,
    unit: Unit = None,
    up: Up = None,
    center: Center = None,
    float16: Half = False,
    overwrite: Overwrite = False,
) -> None:
    """PKU-MMD: the folders `skeleton` and `label`, and the split files."""
    from hacm.data.pkummd import pkummd_source

    _run(pkummd_source(raw, phase), out, center, float16, overwrite, unit, up, strict, jobs)


@prepare_app.command()
def nwucla(
    raw: Raw,
    out: Out,
    keep_duplicates: Annotated[
        bool, typer.Option("--keep-duplicates", help="Keep sequences that two views share.")
    ] = False,
    jobs: Jobs = 1,
    strict: Strict = False,
    unit: Unit = None,
    up: Up = None,
    center: Center = None,
    float16: Half = False,
    overwrite: Overwrite = False,
) -> None:
    """NW-UCLA: one JSON file a sequence."""
    from hacm.data.nwucla import nwucla_source

    source = nwucla_source(raw, keep_duplicates=keep_duplicates)
    _run(source, out, center, float16, overwrite, unit, up, strict, jobs)


@prepare_app.command()
def wmft(
    raw: Raw,
    out: Out,
    jobs: Jobs = 1,
    strict: Strict = False,
    unit: Unit = None,
    up: Up = None,
    center: Center = None,
    float16: Half = False,
    overwrite: Overwrite = False,
) -> None:
    """WMFT-JBHI: one `.bin` file a sequence."""
    from hacm.data.wmft import wmft_source

    _run(wmft_source(raw), out, center, float16, overwrite, unit, up, strict, jobs)


@prepare_app.command("utd_mhad")
def utd_mhad(
    raw: Raw,
    out: Out,
    jobs: Jobs = 1,
    strict: Strict = False,
    unit: Unit = None,
    up: Up = None,
    center: Center = None,
    float16: Half = False,
    overwrite: Overwrite = False,
) -> None:
    """UTD-MHAD: one `_skeleton.mat` file a sequence."""
    from hacm.data.utd_mhad import utd_mhad_source

    _run(utd_mhad_source(raw), out, center, float16, overwrite, unit, up, strict, jobs)


@prepare_app.command()
def prepared(
    file: Annotated[
        Path, typer.Argument(help="An .npz file with x_train, y_train, x_test, y_test.")
    ],
    out: Out,
    layout: Layout = None,
    coordinates: Values = None,
    strict: Strict = False,
    unit: Unit = None,
    up: Up = None,
    center: Center = None,
    float16: Half = False,
    overwrite: Overwrite = False,
) -> None:
    """Prepared files in circulation, such as NTU60_XSub.npz."""
    from hacm.data.prepared import prepared_source

    source = prepared_source(file, layout=layout, coordinates=coordinates)
    _run(source, out, center, float16, overwrite, unit, up, strict)


@prepare_app.command()
def pyskl(
    file: Annotated[Path, typer.Argument(help="A pickle of PYSKL or MMAction2.")],
    out: Out,
    layout: Layout = None,
    coordinates: Values = None,
    strict: Strict = False,
    unit: Unit = None,
    up: Up = None,
    center: Center = None,
    float16: Half = False,
    overwrite: Overwrite = False,
) -> None:
    """Pickles of PYSKL and MMAction2, such as ntu60_3danno.pkl; nothing in them is run."""
    from hacm.data.pyskl import pyskl_source

    source = pyskl_source(file, layout=layout, coordinates=coordinates)
    _run(source, out, center, float16, overwrite, unit, up, strict)


@prepare_app.command()
def arrays(
    file: Annotated[Path, typer.Argument(help="An .npz file with joints, offsets and label.")],
    out: Out,
    layout: Layout = None,
    coordinates: Values = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="NAME=COLUMN:odd, :even or :V1,V2 (the values that train); repeatable."),
    ] = None,
    drop: Annotated[
        str | None, typer.Option(help="Leave out sequences for which this column is true.")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out damaged sequences instead of stopping.")
    ] = False,
    unit: Unit = None,
    up: Up = None,
    center: Center = None,
    float16: Half = False,
    overwrite: Overwrite = False,
) -> None:
    """Your own sequences in one .npz file."""
    from hacm.data.arrays import arrays_source

    source = arrays_source(
        file, layout=layout, more_splits=split, drop=drop, coordinates=coordinates
    )
    _run(source, out, center, float16, overwrite, unit, up, strict=not skip_bad)


@prepare_app.command()
def synthetic(
    out: Out,
    count: Annotated[int, typer.Option(min=1, help="Number of sequences.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same data.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """The built-in labelled data set of kinematic actions."""
    from hacm.data.synthetic import write_synthetic

    write_synthetic(out, count=count, seed=seed, overwrite=overwrite)


def _run(
    source: Source,
    out: Path,
    center: bool | None,
    float16: bool,
    overwrite: bool,
    unit: str | None,
    up: str | None,
    strict: bool,
    jobs: int = 1,
) -> None:
    from rich.console import Console

    from hacm.data.prepare import prepare

    try:
        report = prepare(
            source,
            out,
            center=center,
            dtype="float16" if float16 else "float32",
            jobs=jobs,
            strict=strict,
            overwrite=overwrite,
            progress=True,
            unit=unit,
            up=up,
        )
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on from here", err=True)
        raise typer.Exit(130) from None
    Console().print(report.table())
