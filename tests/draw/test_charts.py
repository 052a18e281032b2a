"""Charts: valid SVG, points where they belong, names escaped."""

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allsight.draw.charts import Line, confusion_chart, line_chart, ticks

SVG = "{http://www.w3.org/2000/svg}"


def test_lines_go_through_their_points() -> None:
    chart = line_chart(
        [Line("a < b & c", [0, 0.5, 1], [1, 0.5, 0], markers=True)], title="T", x_title="recall", y_title="precision"
    )
    root = ElementTree.fromstring(chart)
    dots = np.array([[float(c.attrib["cx"]), float(c.attrib["cy"])] for c in root.iter(f"{SVG}circle")])
    np.testing.assert_allclose(np.diff(dots, axis=0), [[210, 150], [210, 150]])
    assert {"a < b & c", "T", "recall", "precision"} <= {t.text for t in root.iter(f"{SVG}text")}


def test_what_is_only_to_compare_with_takes_no_colour() -> None:
    lines = [Line("ideal", [0, 1], [0, 1], reference=True), Line("ours", [0, 1], [0, 0.5])]
    both, alone = (
        ElementTree.fromstring(line_chart(some, title="", x_title="", y_title="")) for some in (lines, lines[1:])
    )
    strokes = [[line.attrib["stroke"] for line in root.iter(f"{SVG}polyline")] for root in (both, alone)]
    assert strokes[0][1:] == strokes[1]
    assert strokes[0][0] != strokes[0][1]


def test_logarithmic_axis_gives_equal_ratios_equal_room() -> None:
    line = Line("score", [25, 50, 100, 200], [0.1, 0.2, 0.3, 0.4], [0, 0.1, 0.2, 0.3], [0.2, 0.3, 0.4, 0.5], True)
    chart = line_chart([line], title="", x_title="", y_title="", x_range=(20, 250), logarithmic=True)
    root = ElementTree.fromstring(chart)
    across = [float(c.attrib["cx"]) for c in root.iter(f"{SVG}circle")]
    assert np.ptp(np.diff(across)) < 0.2
    assert {"25", "50", "100", "200"} <= {t.text for t in root.iter(f"{SVG}text")}
    assert len(list(root.iter(f"{SVG}polygon"))) == 1


@pytest.mark.parametrize("count", [1, 4, 40])
def test_confusion_has_a_cell_for_every_pair(count: int) -> None:
    root = ElementTree.fromstring(confusion_chart(np.eye(count, dtype=int) * 5, [f"c{i}" for i in range(count)]))
    cells = [r for r in root.iter(f"{SVG}rect") if "stroke" in r.attrib]
    assert len(cells) == count * count
    assert sum(t.text == "5" for t in root.iter(f"{SVG}text")) == (count if count <= 20 else 0)


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e4))
def test_ticks_are_few_round_and_inside(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 1 <= len(found) <= 12
    assert all(low - 1e-6 * span <= value <= low + span * (1 + 1e-6) for value in found)
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
