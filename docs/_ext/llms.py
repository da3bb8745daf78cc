"""The file llms.txt at the root of the site: each page with a link and a line on what it says."""

import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

_HEAD = """\
# sklearn_ehr

> {sentence}

Each page below is HTML. Its source, in reStructuredText, has the same path under `_sources/`,
with `.rst.txt` in the place of `.html`.
"""
_SECTIONS = {
    "Start": ("index", "tutorial"),
    "How-to guides": ("how_to/",),
    "Explanation": ("explanation/", "pitfalls", "terms"),
    "Examples": ("auto_examples/",),
    "Reference": ("reference/", "changelog"),
}


def first_sentence(document):
    """The first sentence of a page, or of the docstring that is shown on it."""
    docstrings = [*document.findall(addnodes.desc_content)][:1]
    for part in [*docstrings, document]:
        for paragraph in part.findall(nodes.paragraph):
            if paragraph.parent.tagname in ("document", "section", "desc_content"):
                text = " ".join(paragraph.astext().split())
                return re.match(r".*?[.?!](?=\s|$)|.*", text)[0]
    return ""


def section_of(name):
    """The section of a page, which is that of the longest prefix of its name."""
    for section, prefixes in _SECTIONS.items():
        if name.startswith(prefixes):
            return section
    return None


def lines_of(env):
    """One line for each page that is read as one, by section."""
    lines = {section: [] for section in _SECTIONS}
    for name in sorted(env.found_docs):
        section = section_of(name)
        if section is None or name.endswith("sg_execution_times"):
            continue
        sentence = first_sentence(env.get_doctree(name))
        line = f"- [{env.titles[name].astext()}]({name}.html)"
        lines[section].append(f"{line}: {sentence}" if sentence else line)
    return lines


def write_llms(app, exception):
    if exception is not None or app.builder.format != "html":
        return
    text = _HEAD.format(sentence=first_sentence(app.env.get_doctree("index")))
    for section, lines in lines_of(app.env).items():
        if lines:
            text += "\n".join([f"\n## {section}\n", *lines, ""])
    (Path(app.outdir) / "llms.txt").write_text(text, encoding="utf-8")


def setup(app):
    app.connect("build-finished", write_llms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
