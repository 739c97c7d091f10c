"""What a raw file's name says, in the forms in which such names go round.

Letters in any case, and something before or behind that is set apart by a sign: `s001..._skel`,
`S001... (1)`, `copy of S001...`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from hacm.data.files import RawFile
from hacm.data.source import Skip

T = TypeVar("T")


def name_pattern(pattern: str) -> re.Pattern[str]:
    """Finds names of this form in a longer name or text."""
    return re.compile(rf"(?<![0-9a-z])(?:{pattern})(?![0-9a-z])", re.IGNORECASE)


def by_name(
    files: Iterable[RawFile], parse: Callable[[str], T | None], example: str, skips: list[Skip]
) -> dict[T, RawFile]:
    """The files by what their names say.

    Args:
        files: in the order in which they are to come.
        parse: reads a name; None if it is none of the data set's.
        example: a name of the data set.
        skips: files with other names, and those that say what an earlier one said, are added.
    """
    named: dict[T, RawFile] = {}
    for file in files:
        key = parse(file.name)
        if key is None:
            skips.append(Skip(f"{file}: expected a name like {example}", "wrong name"))
        elif key in named:
            skips.append(Skip(f"{file} occurs twice, first as {named[key]}", "duplicate"))
        else:
            named[key] = file
    return named
