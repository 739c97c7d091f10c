import json

import numpy as np
import pytest

from hacm.errors import HacmError
from hacm.viz import speed


def spread(value):
    return {"median": value, "low": value / 2, "high": 2 * value}


def growth_rows():
    """Made lines: `a` grows with the square of the frames, `b` with their root."""
    return [
        {"axis": "frames", "size": size, "step": step, "seconds": spread(size**power)}
        for size in (2, 4, 8)
        for step, power in (("a", 2.0), ("b", 0.5))
    ]


STEPS = [
    {
        "step": "plain",
        "seconds": spread(4.0),
        "times_faster": spread(1.0),
        "operations": 2e9,
        "share_of_peak": spread(0.25),
        "changes_in_result": "",
    },
    {
        "step": "  compiled",
        "seconds": spread(1.0),
        "times_faster": spread(4.0),
        "changes_in_result": "loss",
    },
    {"step": "matrix product", "operations_per_second": spread(1e11)},
]


def test_slopes_are_those_of_the_lines():
    slopes = speed.growth_exponents(growth_rows())
    assert np.isclose(slopes.loc["frames", "a"], 2) and np.isclose(slopes.loc["frames", "b"], 0.5)


def test_growth_is_drawn_on_logarithmic_axes():
    figure = speed.growth(growth_rows())
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert [(line.name, list(line.x)) for line in figure.data] == [
        ("a", [2, 4, 8]),
        ("b", [2, 4, 8]),
    ]
    assert list(figure.data[0].y) == [4, 16, 64]


def test_steps_as_a_table_and_as_bars():
    table = speed.step_table(STEPS)
    assert list(table.index) == ["plain", "+ compiled"]
    assert table.loc["plain", "GFLOP"] == 2 and table.loc["plain", "% of peak"] == 25
    assert np.isnan(table.loc["+ compiled", "GFLOP"]) and table.loc["+ compiled", "high"] == 8
    bars = speed.times_faster(STEPS).data[0]
    assert list(bars.x) == [1, 4] and list(bars.error_x.arrayminus) == [0.5, 2]
    assert bars.marker.color[0] != bars.marker.color[1]


def test_only_results_of_the_benchmark_are_read(tmp_path):
    path = tmp_path / "results.json"
    with pytest.raises(HacmError, match="make bench"):
        speed.load_benchmark(path)
    for text in ("{", "[]", "{}"):
        path.write_text(text)
        with pytest.raises(HacmError, match="not the results"):
            speed.load_benchmark(path)
    path.write_text(json.dumps({"machine": {"cores": 2}}))
    assert speed.load_benchmark(path)["machine"] == {"cores": 2}
