"""The split files of PKU-MMD, which list the videos of both sides.

As published a heading, the training videos separated by commas, a heading, the validation videos;
the names also go round one a line, with the endings of their files, and in other letters' case.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from hacm.errors import HacmError

_BETWEEN = re.compile(r"[\s,;:|=]+")
_BRACKETS = "'\"()[]{}"
_DIGIT = re.compile(r"[0-9]")
_TEST = re.compile("val|test")


def video_name(file: str) -> str:
    """A file's name without folders and endings; names are compared in lower case."""
    return file.replace("\\", "/").rpartition("/")[2].partition(".")[0].strip()


def read_video_lists(
    text: str, file: str, known: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """The names of the training videos, and those of the others.

    Args:
        text: the split file; without headings, all videos in it train.
        file: for messages.
        known: videos that are there, lower case; others have a digit, in lines without a heading.

    Raises:
        HacmError: it lists no training video, or one on both sides.
    """
    train: list[str] = []
    test: list[str] = []
    side = train
    for line in text.split("\n"):
        tokens = [video_name(token.strip(_BRACKETS)) for token in _BETWEEN.split(line)]
        names = [name for name in tokens if name.lower() in known or _DIGIT.search(name)]
        words = " ".join(token for token in tokens if token not in names).lower()
        if "train" in words or _TEST.search(words):
            side = train if "train" in words else test
            names = [name for name in names if name.lower() in known]  # "phase 2 training" has none
        elif train and not names and any(map(str.isalpha, words)):
            side = test  # a second heading, whatever its words
        side += names
    if not train:
        raise HacmError(
            f"{file}: expected the training videos, as in the published file: a heading, then "
            "their names separated by commas"
        )
    tested = {name.lower() for name in test}
    if both := next((name for name in train if name.lower() in tested), None):
        raise HacmError(f"{file}: {both!r} is listed as a training video and as a test video")
    return train, test
