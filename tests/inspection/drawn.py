"""The texts that a figure draws, and which of them overlap."""

from itertools import combinations

from matplotlib.text import Text


def drawn_texts(figure):
    """Texts that are drawn, after the layout is settled: ticks out of range are not."""
    figure.canvas.draw()
    drawn, draw = [], Text.draw

    def record(self, *args, **kwargs):
        if self.get_visible() and self.get_text().strip():
            drawn.append(self)
        return draw(self, *args, **kwargs)

    Text.draw = record
    try:
        figure.canvas.draw()
    finally:
        Text.draw = draw
    return drawn


def overlaps(figure):
    """Pairs of drawn texts that overlap, and texts that leave the figure."""
    texts = drawn_texts(figure)
    boxes = [text.get_window_extent() for text in texts]
    found = [
        (a.get_text(), b.get_text())
        for (a, box), (b, other) in combinations(zip(texts, boxes, strict=True), 2)
        if a is not b and box.padded(-0.5).overlaps(other.padded(-0.5))
    ]
    whole = figure.bbox.padded(1)
    found += [
        text.get_text()
        for text, box in zip(texts, boxes, strict=True)
        if box.x0 < whole.x0 or box.x1 > whole.x1 or box.y0 < whole.y0 or box.y1 > whole.y1
    ]
    return found
