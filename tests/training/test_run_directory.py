"""Places that are no run directory, full disks, second writers."""

import errno
import os

import pytest

from hacm import files
from hacm.errors import HacmError
from hacm.training.checkpoint import (
    ENCODER,
)
from hacm.training.pretrain import pretrain
from hacm.training.records import read_metrics
from tests.training.conftest import run_all, same_weights, sentence


def test_places_that_hold_no_run_are_sentences(config, store, tmp_path):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, words in {
        "file": "file",
        "file/below": "file",
        "link": "broken link",
        "loop": "itself|link",
        "n" * 300: "shorter name",
        "x/" + "n" * 300 + "/y": "shorter name",
        "a\0b": "null",
    }.items():
        with pytest.raises(HacmError, match=words) as caught:
            run_all(config, store, tmp_path / name)
        assert sentence(caught)
    assert (tmp_path / "file").read_text() == "precious"


def test_no_permission_is_a_sentence(config, store, tmp_path, monkeypatch):
    def refused(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files.Path, "mkdir", refused)
    with pytest.raises(HacmError, match="Read-only file system; choose a place you may write to"):
        run_all(config, store, tmp_path / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_directory_is_a_sentence(config, store, tmp_path):
    (tmp_path / "run").mkdir(mode=0o500)
    with pytest.raises(HacmError, match="choose a place you may write to"):
        run_all(config, store, tmp_path / "run")


def test_a_complete_run_is_read_where_nothing_can_be_written(config, store, whole, monkeypatch):
    def refused(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files.Path, "mkdir", refused)
    monkeypatch.setattr(files.os, "replace", refused)
    assert len(run_all(config, store, whole)) == config.epochs


def test_a_full_disk_is_a_sentence_and_the_run_goes_on_later(config, store, tmp_path, monkeypatch):
    sync, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(HacmError, match="No space left on device; free space on that disk"):
        run_all(config, store, tmp_path / "run")
    monkeypatch.undo()
    assert not list((tmp_path / "run").glob(".*"))
    run_all(config, store, tmp_path / "run")
    run_all(config, store, tmp_path / "whole")
    assert same_weights(tmp_path / "run", tmp_path / "whole")


def test_what_a_killed_start_leaves_is_no_obstacle(config, store, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".run.json.77.aside").write_text("{")
    (tmp_path / "run" / ".lock").write_text("")
    run_all(config, store, tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*"))


def test_a_second_writer_is_told_and_changes_nothing(config, store, tmp_path):
    first = pretrain(config, store, tmp_path / "run", device="cpu", progress=False)
    next(first)
    with pytest.raises(HacmError, match="is being written by another process"):
        run_all(config, store, tmp_path / "run")
    assert [line["epoch"] for line in first] == [1, 2]
    assert [line["epoch"] for line in read_metrics(tmp_path / "run")] == [0, 1, 2]


def test_a_store_may_be_a_path(config, store, tmp_path):
    for path in (store.path, str(store.path)):
        assert len(run_all(config, path, tmp_path / "run")) == config.epochs
    with pytest.raises(HacmError, match="expected a store or the path of one, got int"):
        run_all(config, 3, tmp_path / "other")
    with pytest.raises(HacmError, match="is not a store"):
        run_all(config, tmp_path / "absent", tmp_path / "other")


def test_permissions_of_the_encoder_follow_the_umask(config, store, tmp_path):
    before = os.umask(0o022)
    try:
        run_all(config, store, tmp_path / "run")
    finally:
        os.umask(before)
    assert (tmp_path / "run" / ENCODER).stat().st_mode & 0o777 == 0o644


def test_a_device_without_values_is_a_sentence(config, store, tmp_path):
    with pytest.raises(HacmError, match="device 'meta' is not available here"):
        list(pretrain(config, store, tmp_path / "run", device="meta", progress=False))
