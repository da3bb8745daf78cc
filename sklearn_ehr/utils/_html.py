"""HTML of summaries in a notebook: a table, and a histogram in SVG."""

from html import escape
from itertools import pairwise

from ._small_cells import MIN_PATIENTS, safe_bins, safe_quantiles, safe_years

_STYLE = """
.sklearn-ehr-summary { display: flex; flex-wrap: wrap; gap: 4px 40px; align-items: flex-start;
  font-size: 13px; line-height: 1.4; }
.sklearn-ehr-summary table { margin: 0; border-collapse: collapse; }
.sklearn-ehr-summary caption, .sklearn-ehr-summary figcaption { text-align: left;
  font-weight: bold; padding: 2px 0; color: inherit; }
.sklearn-ehr-summary tbody tr { background: none; }
.sklearn-ehr-summary th, .sklearn-ehr-summary td { text-align: left; vertical-align: top;
  padding: 2px 0; border: none; overflow-wrap: anywhere; }
.sklearn-ehr-summary th { font-weight: normal; opacity: 0.75; padding-right: 20px; }
.sklearn-ehr-summary figure { margin: 0; }
.sklearn-ehr-summary svg { display: block; font-size: 11px; }
"""
_WIDTH, _HEIGHT, _TOP, _BOTTOM = 280, 120, 16, 18
_BLUE = "#3f86c8"  # It stands out from white and from black.
_PIXELS_PER_CHARACTER = 7
_LONGEST_NAME, _MOST_NAMES = 40, 10
TOO_FEW = f"<{MIN_PATIENTS} (of so few, nothing else is shown)"


def summary_html(title, rows, histogram=""):
    """HTML of a titled table of pairs of a name and a text, with a histogram beside it.

    Rows without a text are left out. All texts are escaped; `histogram` is HTML already.
    """
    cells = "".join(
        f"<tr><th>{escape(shortened(name))}</th><td>{escape(text)}</td></tr>"
        for name, text in rows
        if text
    )
    return (
        f'<style>{_STYLE}</style><div class="sklearn-ehr-summary"><table>'
        f"<caption>{escape(title)}</caption><tbody>{cells}</tbody></table>{histogram}</div>"
    )


def shortened(name):
    """A name, or another value of the user, as text that is not too long."""
    name = str(name)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."


def count_text(n):
    """A number, unless it is so small that it could be about few patients."""
    return f"{n:,}" if n >= MIN_PATIENTS else f"<{MIN_PATIENTS}"


def names_text(names):
    """Names of columns, the first ones if there are many."""
    names = [shortened(name) for name in names]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def lengths_html(title, lengths, patient, unit):
    """Text of the quantiles of lengths of histories, and HTML of their histogram.

    `patient` has the patient of each length, and `unit` says what has the lengths, such as
    "patients".
    """
    quantiles = safe_quantiles(lengths, patient)
    texts = [f"median {quantiles[50]:,}"] if 50 in quantiles else []
    for low, high, share in ((25, 75, "half of them"), (5, 95, "90%")):
        if {low, high} <= quantiles.keys():
            texts.append(f"{share} {quantiles[low]:,} to {quantiles[high]:,}")
    return ", ".join(texts), histogram_html(title, *safe_bins(lengths, patient), unit)


def years_text(times, patient, of_what):
    """Text of the years that many patients share; None without any."""
    years = safe_years(times, patient)
    return None if years is None else f"{years[0]} to {years[1]} (of {of_what})"


def histogram_html(title, edges, shares, unit):
    """HTML of a histogram, or nothing if there are no bins.

    `edges` are those between the bins, of which the first and the last are open. `shares` are those
    of `unit`, such as "patients".
    """
    if not shares:
        return ""
    width, highest = _WIDTH / len(shares), max(shares)
    bars = "".join(
        _bar(width * position, width, share / highest, f"{label}: {_percent(share)} of {unit}")
        for position, (label, share) in enumerate(zip(_labels(edges), shares, strict=True))
    )
    tallest = _text(width * (shares.index(highest) + 0.5), _TOP - 4, f"{highest:.0%}", "middle")
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg role="img" aria-label="Histogram" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}">{bars}{tallest}{_ticks(edges, width)}'
        f'<path d="M0 {_HEIGHT - _BOTTOM}H{_WIDTH}" stroke="currentColor"/></svg></figure>'
    )


def _bar(left, width, height, label):
    height = round(height * (_HEIGHT - _TOP - _BOTTOM))
    return (
        f'<rect x="{left + 1:.1f}" y="{_HEIGHT - _BOTTOM - height}" width="{width - 2:.1f}" '
        f'height="{height}" fill="{_BLUE}"><title>{escape(label)}</title></rect>'
    )


def _percent(share):
    return "<1%" if share < 0.005 else f"{share:.0%}"


def _ticks(edges, width):
    """Labels of both open ends, and of as many edges between them as have room."""
    longest = max(len(f"{edge:,}") for edge in edges) + 2
    step = int(-(-longest * _PIXELS_PER_CHARACTER // width))
    ends = [
        _text(0, _HEIGHT - 4, f"&lt;{edges[0]:,}", "start"),
        _text(_WIDTH, _HEIGHT - 4, f"\u2265{edges[-1]:,}", "end"),
    ]
    between = [
        _text(width * (position + 1), _HEIGHT - 4, f"{edges[position]:,}", "middle")
        for position in range(step, len(edges) - step, step)
    ]
    return "".join([*ends, *between])


def _text(x, y, text, anchor):
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" fill="currentColor">{text}</text>'


def _labels(edges):
    """Names of the bins: of those between edges, and of the open ones before and after them."""
    between = [
        f"{low:,}" if high - low == 1 else f"{low:,} to {high - 1:,}"
        for low, high in pairwise(edges)
    ]
    return [f"under {edges[0]:,}", *between, f"{edges[-1]:,} or more"]
