"""CHANGELOG.md as part of a page: only its headings are written otherwise there."""

import re

_UNDERLINES = {2: "-", 3: "~"}


def underline(heading):
    """A heading of reStructuredText in the place of one of Markdown."""
    return f"{heading[2]}\n{_UNDERLINES[len(heading[1])] * len(heading[2])}"


def convert(app, path, page, content):
    """Convert the headings of an included Markdown file."""
    if path.suffix == ".md":
        content[0] = re.sub(r"^(##+) (.*)$", underline, content[0], flags=re.MULTILINE)


def setup(app):
    app.connect("include-read", convert)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
