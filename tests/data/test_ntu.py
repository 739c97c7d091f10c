"""NTU files: parity with the common procedure, odd but valid files, and bad ones."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_reference import V, person, plain_denoise, plain_parse, skeleton_text

from hacm.data import ntu
from hacm.data.files import RawFile
from hacm.data.ntu import ntu_source, parse_skeleton, read_ntu
from hacm.data.prepare import prepare
from hacm.data.store import SequenceStore
from hacm.errors import HacmError

NAME = "S001C002P003R002A013"


def one_body(frames=5, seed=0, id="72057594037931101"):
    joints = person(np.random.default_rng(seed), frames)
    return [[(id, row)] for row in joints]


def write(folder: Path, name=NAME, data=None) -> Path:
    path = folder / f"{name}.skeleton"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(skeleton_text(one_body()) if data is None else data)
    return path


def raw_file(path: Path) -> RawFile:
    return RawFile(str(path), size=path.stat().st_size)


def test_equals_the_common_procedure_on_real_files(shared_data, tmp_path):
    expected = np.load(shared_data / "parity" / "ntu_denoised.npz")
    report = prepare(ntu_source(shared_data / "raw"), tmp_path / "store")
    store = SequenceStore(tmp_path / "store", verify=True)
    assert sorted(store.columns["name"]) == sorted(expected)
    assert not report.skips
    for i, name in enumerate(store.columns["name"]):
        actors = np.zeros((len(expected[name]), 2, V, 3))
        got = store[i].transpose(1, 0, 2, 3)
        actors[:, : got.shape[1]] = got
        difference = actors.reshape(len(actors), -1)[:, : expected[name].shape[1]] - expected[name]
        assert np.abs(difference).max() <= 1e-6, name
        assert store.labels[i] == int(name[-3:]) - 1
        assert store.columns["subject"][i] == int(name[9:12])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_do_not_matter(end, last):
    frames = one_body()
    recording = parse_skeleton(skeleton_text(frames, end, last))
    assert recording.frames == 5
    np.testing.assert_array_equal(
        recording.bodies[0].joints, np.float32([joints for [(_, joints)] in frames])
    )


def written(text: bytes, *, xyz=False, id_alone=False) -> bytes:
    """The same file with less in its lines."""
    kept = {12: 3 if xyz else 12, 10: 1 if id_alone else 10}
    rows = [line.split() for line in text.split(b"\n")]
    return b"\n".join(b" ".join(row[: kept.get(len(row))]) for row in rows)


@pytest.mark.parametrize("id_alone", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        lambda data: data,
        lambda data: data.replace(b".", b","),
        lambda data: data.replace(b".", b",").replace(b" ", b"\t"),
        lambda data: data.replace(b" ", b","),
        lambda data: data.replace(b" ", b";"),
        lambda data: data.replace(b"\n", b"\r"),
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\r\n").decode().encode("utf-16"),
        lambda data: data.decode().encode("utf-16-be"),
    ],
)
@pytest.mark.parametrize("xyz", [True, False])
def test_text_in_other_forms_is_the_same_recording(xyz, change, id_alone):
    rng = np.random.default_rng(1)
    frames = [[("7", row), ("8", row + 1)] for row in person(rng, 4)]
    expected = parse_skeleton(skeleton_text(frames))
    got = parse_skeleton(change(written(skeleton_text(frames), xyz=xyz, id_alone=id_alone)))
    assert (got.frames, got.surplus, len(got.bodies)) == (4, 0, 2)
    for body, other in zip(got.bodies, expected.bodies, strict=True):
        np.testing.assert_array_equal(body.joints, other.joints)


def test_all_joints_hold_as_many_values():
    text = written(skeleton_text(one_body()), xyz=True)
    with pytest.raises(HacmError, match="line 8: expected 3 values, found 12"):
        parse_skeleton(line(text, 8, JOINT))
    with pytest.raises(HacmError, match="line 5: expected 3 or 12 values, found 4"):
        parse_skeleton(line(text, 5, b"1 2 3 4"))


def test_spaces_and_blank_lines_at_the_end_do_not_matter():
    text = skeleton_text(one_body())
    expected = parse_skeleton(text).bodies[0].joints
    for odd in (text.replace(b" ", b"  "), text.replace(b" ", b"\t"), text + b"\n \r\n\n"):
        np.testing.assert_array_equal(parse_skeleton(odd).bodies[0].joints, expected)
    spaced = text.replace(b"\n", b" \n")
    np.testing.assert_array_equal(parse_skeleton(spaced).bodies[0].joints, expected)


def test_ids_beyond_float_precision_stay_apart():
    rng = np.random.default_rng(0)
    rows = person(rng, 4)
    ids = ["72057594037931101", "72057594037931102"]
    recording = parse_skeleton(skeleton_text([[(ids[f % 2], rows[f])] for f in range(4)]))
    assert [body.start for body in recording.bodies] == [0, 1]


def test_frames_without_bodies_are_not_counted():
    frames = one_body()
    recording = parse_skeleton(skeleton_text([[], *frames[:2], [], [], *frames[2:], []]))
    assert (recording.frames, recording.empty) == (5, 4)
    assert len(recording.bodies[0].joints) == 5


def test_unused_fields_may_be_infinite_but_not_text():
    text = skeleton_text(one_body()).replace(b"250.1", b"-inf").replace(b"960.3", b"nan")
    assert parse_skeleton(text).frames == 5
    with pytest.raises(HacmError, match="line 5: expected a number, found 'abc'"):
        parse_skeleton(skeleton_text(one_body()).replace(b"540.4", b"abc"))


def test_lines_behind_the_last_frame_are_ignored_and_counted(tmp_path):
    path = write(tmp_path, data=skeleton_text(one_body()) + b"0\n1\nrest\n")
    assert read_ntu(raw_file(path)).counts["files with lines behind the last frame"] == 1


def line(text: bytes, number: int, new: bytes) -> bytes:
    lines = text.split(b"\n")
    lines[number - 1] = new
    return b"\n".join(lines)


GOOD = skeleton_text(one_body())
JOINT = b"1 2 3 0 0 0 0 0 0 0 0 2"
BAD = {
    "empty": (b"", "line 1: the file ends where the number of frames should be"),
    "blank": (b"\r\n \n", "line 1: the file ends"),
    "binary": (bytes(range(256)) * 40, "line 1: expected text, found binary data"),
    "no text": (bytes(range(1, 256)) * 40, "line 1: expected the number of frames"),
    "zeros": (bytes(4096), "line 1: expected text, found binary data"),
    "zeros in the middle": (
        GOOD[:5000] + bytes(512) + GOOD[5512:],
        r"line \d\d: expected text, found binary data",
    ),
    "truncated": (GOOD[: len(GOOD) // 2], r"line \d+: 1 bodies need 27 lines, \d+ follow"),
    "cut in a line": (GOOD[:-12], "line 141: expected 12 values, found"),
    "cut between frames": (
        b"\n".join(GOOD.split(b"\n")[:29]),
        "line 1: 5 frames|line 30: the file",
    ),
    "text": (line(GOOD, 5, JOINT.replace(b"2 3", b"x 3")), "line 5: expected a number, found 'x'"),
    "eleven values": (line(GOOD, 7, JOINT[2:]), "line 7: expected 12 values, found 11"),
    "thirteen values": (line(GOOD, 7, b"1 " + JOINT), "line 7: expected 12 values, found 13"),
    "shifted lines": (
        line(line(GOOD, 7, JOINT[2:]), 8, b"1 " + JOINT),
        "line 7: expected 12 values, found 11",
    ),
    "nan": (line(GOOD, 6, b"1 2 nan" + JOINT[5:]), "line 6: 'nan' is not a finite coordinate"),
    "inf": (line(GOOD, 6, b"-inf 2 3" + JOINT[5:]), "line 6: '-inf' is not a finite coordinate"),
    "too large": (line(GOOD, 6, b"1e39 2 3" + JOINT[5:]), "line 6: '1e39' is not a finite coord"),
    "joints": (line(GOOD, 4, b"24"), "line 4: expected 25 joints, found 24"),
    "more joints": (line(GOOD, 4, b"26"), "line 4: expected 25 joints, found 26"),
    "negative bodies": (line(GOOD, 2, b"-1"), "line 2: expected the number of bodies, found '-1'"),
    "fractional bodies": (line(GOOD, 2, b"1.0"), "line 2: expected the number of bodies"),
    "negative frames": (line(GOOD, 1, b"-5"), "line 1: expected the number of frames"),
    "huge frames": (line(GOOD, 1, b"999999999"), "line 1: 999999999 frames need"),
    "huge bodies": (line(GOOD, 2, b"999999999"), "line 2: 999999999 bodies need"),
    "endless number": (line(GOOD, 1, b"9" * 5000), "line 1: expected the number of frames"),
    "body line": (line(GOOD, 3, b"7 0 1"), "line 3: expected 10 values of a body, found 3"),
    "too many frames": (line(GOOD, 1, b"6"), "line 142: the file ends where the number of bodies"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_skipped_with_file_and_line_and_the_rest_goes_on(what, tmp_path):
    data, message = BAD[what]
    with pytest.raises(HacmError, match=message):
        parse_skeleton(data)
    write(tmp_path / "raw", data=data)
    write(tmp_path / "raw", "S001C001P001R001A001")
    report = prepare(ntu_source(tmp_path / "raw"), tmp_path / "store")
    assert len(SequenceStore(tmp_path / "store")) == 1
    assert [f"{NAME}.skeleton, line" in skip.reason for skip in report.skips] == [True]
    with pytest.raises(HacmError, match=message):
        prepare(ntu_source(tmp_path / "raw"), tmp_path / "strict", strict=True)
    assert not (tmp_path / "strict").exists()


def test_huge_counts_cost_no_memory():
    tracemalloc.start()
    for what in ("huge frames", "huge bodies"):
        with pytest.raises(HacmError):
            parse_skeleton(BAD[what][0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


def test_an_id_twice_in_every_frame_is_an_error():
    frames = [bodies * 2 for bodies in one_body()]
    with pytest.raises(HacmError, match="occurs more often than there are frames"):
        parse_skeleton(skeleton_text(frames))


def test_an_id_twice_in_one_frame_counts_as_two_frames():
    """As in the common procedure, where it is only ever appended to."""
    rows = person(np.random.default_rng(0), 40)
    frames = [[("a", rows[f])] for f in range(15)] + [[("b", rows[f])] for f in range(15, 40)]
    frames[5] = frames[5] + [("a", rows[39])]
    text = skeleton_text(frames)
    bodies, kept = plain_parse(text)
    recording = parse_skeleton(text)
    actors, _ = ntu.denoise(recording.bodies, kept)
    assert len(recording.bodies[0].joints) == 16
    np.testing.assert_allclose(ntu_centred(actors), plain_denoise(bodies, kept)[:, : V * 3])


def test_files_without_any_body_are_reported(tmp_path):
    for i, data in enumerate((b"0\n", b"3\n0\n0\n0\n", skeleton_text([[("1", np.zeros((V, 3)))]]))):
        result = read_ntu(raw_file(write(tmp_path, data=data)))
        assert not result.samples, i
        assert [skip.kind for skip in result.skips] == ["no body"]


def test_two_ids_that_are_both_too_short_leave_nobody(tmp_path):
    rows = person(np.random.default_rng(0), 22)
    frames = [[(str(f // 11), row)] for f, row in enumerate(rows)]
    result = read_ntu(raw_file(write(tmp_path, data=skeleton_text(frames))))
    assert [skip.kind for skip in result.skips] == ["no body"]
    assert result.counts["bodies dropped: too short"] == 2


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_recording_gives_what_the_plain_reference_gives(data):
    """Bodies vanish, come back, switch ids, crowd frames; some frames are empty."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    length = data.draw(st.integers(12, 45))
    frames: list[list] = [[] for _ in range(length)]
    for body in range(data.draw(st.integers(1, 5))):
        move, wide = data.draw(st.sampled_from([0, 0.02, 0.1])), data.draw(st.floats(0.2, 2))
        rows = person(rng, length, move=move, wide=wide, at=rng.normal(0, 1, 3))
        if data.draw(st.booleans()):  # some frames of it are wide
            rows[rng.random(length) < 0.6] *= (4, 1, 1)
        start = data.draw(st.integers(0, length - 1))
        end = data.draw(st.integers(start, length))
        gap = data.draw(st.integers(start, end))
        gap_end = data.draw(st.integers(gap, min(end, gap + 6)))
        for f in [*range(start, gap), *range(gap_end, end)]:
            frames[f].insert(data.draw(st.integers(0, len(frames[f]))), (f"id{body}", rows[f]))
    text = skeleton_text(frames, data.draw(st.sampled_from(["\n", "\r\n"])))
    bodies, kept = plain_parse(text)
    recording = parse_skeleton(text)
    assert recording.frames == kept and len(recording.bodies) == len(bodies)
    if not bodies:
        return
    expected = plain_denoise(bodies, kept)
    actors, _ = ntu.denoise(recording.bodies, recording.frames)
    got = ntu_centred(actors)
    both = np.zeros((len(expected), 2 * V * 3), dtype=np.float32)
    both[:, : got.shape[1]] = got
    assert len(got) == len(expected)
    np.testing.assert_allclose(both[:, : expected.shape[1]], expected, atol=1e-6)
    assert not both[:, expected.shape[1] :].any()


def ntu_centred(actors):
    from hacm.data.writer import center_on_origin
    from hacm.skeleton import KINECT_V2

    if len(actors) == 0:
        return np.zeros((0, V * 3), dtype=np.float32)
    moved = center_on_origin(actors.astype(np.float64), KINECT_V2).astype(np.float32)
    return moved.transpose(1, 0, 2, 3).reshape(moved.shape[1], -1)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_damage_is_a_sentence_not_a_traceback(data):
    text = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["cut", "set", "insert", "drop"]))
        at = data.draw(st.integers(0, max(len(text) - 1, 0)))
        junk = data.draw(st.binary(max_size=6) | st.sampled_from([b"nan", b" ", b"\n", b"-", b"9"]))
        if kind == "cut":
            text = text[:at]
        elif kind == "set":
            text[at : at + len(junk)] = junk
        elif kind == "insert":
            text[at:at] = junk
        else:
            del text[at : at + data.draw(st.integers(1, 200))]
    try:
        recording = parse_skeleton(bytes(text))
    except HacmError as error:
        assert "\n" not in str(error)
    else:
        assert all(np.isfinite(body.joints).all() for body in recording.bodies)
