import re
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from sklearn_ehr.utils import count_text, lengths_html, names_text, shortened, summary_html
from sklearn_ehr.utils._html import histogram_html

HOSTILE = "<script>alert('x')</script> & \"so on\""


def parsed(html):
    return ElementTree.fromstring(f"<div>{html}</div>")


def test_texts_of_a_summary_are_escaped():
    html = summary_html(HOSTILE, [(HOSTILE, HOSTILE)])
    assert "<script" not in html
    texts = [element.text for element in parsed(html).iter() if element.tag != "style"]
    assert [text for text in texts if text] == [HOSTILE, shortened(HOSTILE), HOSTILE]


def test_rows_without_a_text_are_left_out():
    root = parsed(summary_html("Title", [("a", "1"), ("b", None), ("c", "")]))
    assert [cell.text for cell in root.iter("th")] == ["a"]


def test_long_names_are_cut():
    assert shortened("x" * 40) == "x" * 40
    assert shortened("x" * 41) == "x" * 37 + "..."
    assert names_text("abc") == "a, b, c"
    assert names_text(range(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"


@pytest.mark.parametrize(("n", "text"), [(0, "<10"), (9, "<10"), (10, "10"), (12345, "12,345")])
def test_small_counts_are_not_shown(n, text):
    assert count_text(n) == text


def test_bars_of_a_histogram_are_as_high_as_their_shares():
    root = parsed(histogram_html("Visits", [2, 3, 1000], [0.1, 0.4, 0.3, 0.2], "samples"))
    bars = list(root.iter("rect"))
    heights = np.array([int(bar.get("height")) for bar in bars])
    assert np.allclose(heights / heights.max(), [0.25, 1, 0.75, 0.5], atol=0.01)
    assert [bar.find("title").text for bar in bars] == [
        "under 2: 10% of samples",
        "2: 40% of samples",
        "3 to 999: 30% of samples",
        "1,000 or more: 20% of samples",
    ]
    floor = {int(bar.get("y")) + int(bar.get("height")) for bar in bars}
    assert len(floor) == 1
    assert [text.text for text in root.iter("text")] == ["40%", "<2", "≥1,000", "3"]


@pytest.mark.parametrize("n_bins", [2, 5, 16])
def test_labels_of_a_histogram_do_not_overlap(n_bins):
    edges = list(range(10_000, 10_000 * n_bins, 10_000))
    html = histogram_html("Events", edges, [1 / n_bins] * n_bins, "patients")
    ends = []
    for text in parsed(html).iter("text"):
        if not text.text.endswith("%"):
            length = 6 * len(text.text)
            shift = {"start": 0, "middle": length / 2, "end": length}[text.get("text-anchor")]
            ends.append((float(text.get("x")) - shift, float(text.get("x")) - shift + length))
    ends.sort()
    assert all(end <= start for (_, end), (start, _) in pairwise(ends))


def test_a_bin_of_many_patients_among_far_more_is_not_said_to_be_empty():
    html = histogram_html("Events", [5], [0.999, 0.001], "patients")
    assert "5 or more: <1% of patients" in [text.text for text in parsed(html).iter("title")]


def test_nothing_is_drawn_without_bins():
    assert histogram_html("Events", [], [], "patients") == ""


def test_quantiles_of_lengths_are_told_in_words():
    text, html = lengths_html("Events", np.arange(1000, 1200), np.arange(200), "patients")
    assert text == "median 1,099, half of them 1,049 to 1,149, 90% 1,009 to 1,189"
    assert re.search("of patients</title>", html)
    assert lengths_html("Events", np.arange(5), np.arange(5), "patients") == ("", "")
