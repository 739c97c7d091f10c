"""The driver: faults cost only their own sequence, interruptions and processes change nothing."""

import io
import json
from collections import Counter
from functools import partial

import numpy as np
import pytest

from hacm.data import prepare as driver
from hacm.data.prepare import prepare
from hacm.data.report import REPORT
from hacm.data.source import Result, Sample, Skip, Source
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.skeleton import SkeletonLayout

STICK = SkeletonLayout.from_parents("stick", ["root", "middle", "tip"], [-1, 0, 1])


def read(i, stop_at=None):
    """Item i; every seventh is damaged, every fifth has a NaN, every eleventh holds two."""
    if i == stop_at:
        raise KeyboardInterrupt
    if i % 7 == 6:
        raise HacmError(f"item {i}, line 3: broken")
    joints = np.random.default_rng(i).normal(size=(1, 2 + i % 3, STICK.V, 3))
    if i % 5 == 4:
        joints[0, 1, 2] = np.nan
    result = Result(counts=Counter({"seen": 1}))
    for copy in range(2 if i % 11 == 10 else 1):
        result.samples.append(Sample(f"{i}.{copy}", i % 2, joints, {"subject": i % 4}))
    return result


def source(count=100, skips=(), **reading):
    return Source(
        title="test",
        layout=STICK,
        label_names=["even", "odd", "never"],
        items=range(count),
        count=count,
        read=partial(read, **reading) if reading else read,
        fingerprint="1",
        splits={"xsub": {"column": "subject", "train": [0, 1, 2]}},
        published={"xsub": (60, 20)},
        skips=list(skips),
    )


def test_the_report_says_what_was_read_and_left_out(tmp_path):
    listed = Skip("item x is on the skip list", "skip list", wanted=True)
    report = prepare(source(skips=[listed]), tmp_path / "s")
    store = SequenceStore(tmp_path / "s", verify=True)
    good = [i for i in range(100) if i % 7 != 6 and i % 5 != 4]
    doubled = sum(i % 11 == 10 for i in good)
    assert report.sequences == len(store) == len(good) + doubled
    assert report.checksum == store.checksum
    assert report.frames == store.columns["frames"].sum()
    assert (report.classes, report.classes_known, report.subjects) == (2, 3, 4)
    assert report.counts == {"seen": 86}
    assert report.rounding is None
    kinds = Counter(skip.kind for skip in report.skips)
    nans = sum(1 + (i % 11 == 10) for i in range(100) if i % 5 == 4 and i % 7 != 6)
    assert kinds == {"skip list": 1, "damaged": 14 + nans}
    split = report.splits["xsub"]
    assert split["train"] == np.isin(store.columns["subject"], [0, 1, 2]).sum()
    assert (split["train"] + split["test"], split["published"]) == (len(store), (60, 20))
    saved = json.loads((tmp_path / "s" / REPORT).read_text())
    assert saved["checksum"] == store.checksum
    assert (
        saved["skips"][1]["reason"] == "sequence '4.0': NaN or infinite coordinate in body 0, "
        "frame 1, joint 'tip'"
    )
    assert saved["splits"]["xsub"]["published"] == [60, 20]


def test_the_table_is_for_people(tmp_path):
    from rich.console import Console

    report = prepare(source(), tmp_path / "s", dtype="float16")
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(report.table())
    text = console.export_text()
    assert "published: 60 and 20" in text
    assert "item 6, line 3: broken" in text
    assert "more in report.json" in text
    assert "float16" in text and 0 < report.rounding < 2e-3


def test_strict_stops_at_the_first_fault(tmp_path):
    with pytest.raises(HacmError, match=r"sequence '4\.0': NaN"):
        prepare(source(), tmp_path / "s", strict=True)
    with pytest.raises(HacmError, match="wrong name"):
        prepare(source(3, skips=[Skip("wrong name")]), tmp_path / "s", strict=True)
    assert list(tmp_path.iterdir()) == []
    prepare(source(3, skips=[Skip("listed", wanted=True)]), tmp_path / "s", strict=True)


def test_processes_give_the_same_store(tmp_path):
    one = prepare(source(), tmp_path / "one")
    two = prepare(source(), tmp_path / "two", jobs=2)
    assert (one.checksum, one.skips, one.counts) == (two.checksum, two.skips, two.counts)


@pytest.mark.parametrize("stop_at", [0, 1, driver.CHUNK, 50, 99])
def test_an_interrupted_run_is_continued(tmp_path, stop_at):
    whole = prepare(source(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        prepare(source(stop_at=stop_at), tmp_path / "s")
    assert not (tmp_path / "s").exists()
    asked = []

    def counted(i):
        asked.append(i)
        return read(i)

    rest = Source(**{**vars(source()), "read": counted})
    report = prepare(rest, tmp_path / "s")
    assert asked == list(range(stop_at // driver.CHUNK * driver.CHUNK, 100))
    assert (report.checksum, report.skips, report.counts) == (
        whole.checksum,
        whole.skips,
        whole.counts,
    )


def test_a_store_is_not_replaced_unless_told(tmp_path):
    prepare(source(), tmp_path / "s")
    with pytest.raises(HacmError, match="exists"):
        prepare(source(), tmp_path / "s")
    assert prepare(source(50), tmp_path / "s", overwrite=True).items == 50


def test_nothing_usable_is_an_error_that_says_why(tmp_path):
    only_bad = Source(**{**vars(source()), "items": [6, 13], "count": 2})
    with pytest.raises(
        HacmError, match=r"no usable sequence in 2 items; .*: item 6, line 3: broken"
    ):
        prepare(only_bad, tmp_path / "s")
    nothing = Source(**{**vars(source()), "read": lambda i: Result()})
    with pytest.raises(HacmError, match=r"no usable sequence in 100 items$"):
        prepare(nothing, tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_the_run(tmp_path, monkeypatch):
    def full(self, *_, **__):
        raise driver.WriteError("s cannot be written: No space left on device")

    monkeypatch.setattr(driver.StoreWriter, "add", full)
    with pytest.raises(HacmError, match="No space left"):
        prepare(source(), tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


def test_an_item_that_does_not_fit_in_memory_is_reported(tmp_path):
    def greedy(i):
        if i == 1:
            raise MemoryError
        return read(i)

    report = prepare(Source(**{**vars(source(3)), "read": greedy}), tmp_path / "s")
    assert [skip.reason for skip in report.skips] == ["1: not enough memory to read it"]


def test_centring_can_be_chosen(tmp_path):
    for center in (None, True, False):
        prepare(source(4), tmp_path / f"{center}", center=center)
        first = SequenceStore(tmp_path / f"{center}")[0][0, 0, 0]
        assert (first == 0).all() == (center is not False)
