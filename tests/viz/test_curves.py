import numpy as np
import pytest

from hacm.errors import HacmError
from hacm.viz.curves import confusion, feature_map, loss_curves, project_features


def test_only_what_was_logged_is_drawn():
    metrics = [{"epoch": 0, "loss": 2.0, "mask": {"a": 1}}, {"epoch": 1, "loss": 1.0}]
    figure = loss_curves(metrics)
    assert [(line.name, list(line.y)) for line in figure.data] == [("loss", [2.0, 1.0])]
    with pytest.raises(HacmError, match="none of accuracy was logged with 'epoch'; logged: epoch"):
        loss_curves(metrics, ["accuracy"])
    with pytest.raises(HacmError, match="logged: -"):
        loss_curves([])


def test_rows_of_a_confusion_are_shares_of_the_truth():
    counts = np.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]])
    heat = confusion(counts, ["a", "b", "a very long name of a class"]).data[0]
    assert np.allclose(heat.z, [[75, 25, 0], [0, 0, 0], [0, 50, 50]])
    assert list(heat.customdata[2][1]) == ["a very long name of a class", "b", "2"]
    with pytest.raises(HacmError, match="expected a 2 x 2 matrix"):
        confusion(counts, ["a", "b"])


def test_projections_keep_clusters_apart():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 10)) + np.repeat(np.eye(2, 10) * 30, 30, axis=0)
    for method in ("pca", "tsne"):
        points = project_features(features, method, seed=0)
        gap = np.linalg.norm(points[:30].mean(0) - points[30:].mean(0))
        assert points.shape == (60, 2) and gap > 2 * points[:30].std(0).max()
    with pytest.raises(HacmError, match="known: pca, tsne"):
        project_features(features, "umap")
    with pytest.raises(HacmError, match="at least 3"):
        project_features(features[:2])


def test_every_class_has_its_own_look():
    count = 30
    points, labels = np.zeros((2 * count, 2)), np.repeat(np.arange(count), 2)
    names = [f"class {label}" for label in range(count)]
    figure = feature_map(points, labels, names, names=[f"s{i}" for i in range(2 * count)])
    looks = {(trace.marker.color, trace.marker.symbol) for trace in figure.data}
    assert len(looks) == len(figure.data) == count
    assert figure.data[3].text[1] == "class 3<br>s7"
