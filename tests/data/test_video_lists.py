"""The split files of PKU-MMD in the forms in which they go round."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hacm.data.video_lists import read_video_lists, video_name
from hacm.errors import HacmError

TRAIN, TEST = ["0002-L", "A01N01-M"], ["0003-R", "0004-R"]
PUBLISHED = "Training videos: \n0002-L, A01N01-M\nValidataion videos:\n0003-R, 0004-R\n"


@pytest.mark.parametrize(
    "text",
    [
        PUBLISHED,
        PUBLISHED.replace(",", ""),
        PUBLISHED.replace(", ", ";"),
        PUBLISHED.replace(", ", "\t"),
        PUBLISHED.replace(", ", "\n"),
        PUBLISHED.replace(", ", ",\n").replace("\n", "\n\n"),
        PUBLISHED.replace("-L", "-L.txt").replace("-R", "-R.skeleton.txt"),
        PUBLISHED.replace("0002", "skeleton/0002").replace("0003", "data\\skeleton\\0003"),
        PUBLISHED.replace(":\n", ": ").replace(": \n", ": "),
        "0002-L\nA01N01-M\ntest\n0003-R\n0004-R\n",
        "Validation\n0003-R,0004-R\nTraining\n0002-L,A01N01-M",
        "Phase 2, training videos\n0002-L,A01N01-M\nPhase 2, validation videos\n0003-R,0004-R",
        "Apprentissage\n0002-L,A01N01-M\nEvaluation\n0003-R,0004-R",
        "Entrainement\n0002-L,A01N01-M\nautres\n0003-R,0004-R",
        "video,side\n0002-L,train\nA01N01-M,train\n0003-R,test\n0004-R,test",
        "['0002-L', 'A01N01-M']\n# validation\n[\"0003-R\", \"0004-R\"]",
    ],
)
def test_every_form_lists_the_same_videos(text):
    known = {name.lower() for name in TRAIN + TEST}
    lists = read_video_lists(text, "file", known)
    assert [[name for name in side if name.lower() in known] for side in lists] == [TRAIN, TEST]


def test_names_that_sound_like_headings():
    lists = read_video_lists("Validation\ntrain1-L\nTraining\ntest2-L,val3-L", "file")
    assert lists == (["test2-L", "val3-L"], ["train1-L"])


def test_names_without_a_number_are_those_that_are_there():
    assert read_video_lists("Training\nwalk-L\n", "file", {"walk-l"}) == (["walk-L"], [])


@pytest.mark.parametrize("text", ["", "Training videos\n", "Training videos\n , \n", "Test\n1-L"])
def test_a_file_without_training_videos_is_an_error(text):
    with pytest.raises(HacmError, match="file: expected the training videos"):
        read_video_lists(text, "file")


@pytest.mark.parametrize("again", ["0002-L", "0002-l.txt"])
def test_a_video_on_both_sides_is_named(again):
    with pytest.raises(HacmError, match="file: '0002-L' is listed as a training video and as"):
        read_video_lists(f"{PUBLISHED}, {again}", "file")


@given(st.text(max_size=80))
def test_any_text_is_read_or_a_sentence(text):
    try:
        train, test = read_video_lists(text, "file")
    except HacmError:
        return
    assert train and not set(train) & set(test)


def test_names():
    for file in ("a/b/0002-L.txt", "b\\0002-L.skeleton.txt", "0002-L", " 0002-L .csv"):
        assert video_name(file) == "0002-L"
