"""What the pages of the documentation hold: blocks of code, and rows of tables."""

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# Not written by hand, but by a build of the site.
BUILT = ("_build", "auto_examples", "generated")

_DIRECTIVE = re.compile(
    r"^( *)\.\. (?:code-block|code|sourcecode|highlight)::[ ]*(\S*)[ ]*\n((?:\1 {3}.*\n|[ ]*\n)*)",
    re.MULTILINE,
)
_LITERAL = re.compile(r"^( *)(?!\.\. ).*::[ ]*\n((?:\1 +.*\n|[ ]*\n)+)", re.MULTILINE)
_ROWS = re.compile(r"^ {3}\* - (.*)\n((?: {5}-.*\n| {7}.*\n)*)", re.MULTILINE)


def read(page):
    """The text of a page, such as ``how_to/tools``."""
    return (DOCS / f"{page}.rst").read_text(encoding="utf-8")


def pages():
    """Names of all pages that are written by hand."""
    found = (path.relative_to(DOCS) for path in DOCS.rglob("*.rst"))
    hand_written = (path for path in found if not {*path.parts} & {*BUILT, "_templates"})
    return sorted(path.with_suffix("").as_posix() for path in hand_written)


def blocks_of(text):
    """Language and text of each block of code; of ``::`` blocks, the language is empty."""
    found = [(language, body) for _, language, body in _DIRECTIVE.findall(text)]
    found += [("", body) for _, body in _LITERAL.findall(text)]
    return [(language, textwrap.dedent(body).strip("\n")) for language, body in found]


def python_blocks(page):
    """Blocks that a test of its own runs, from top to bottom."""
    return [body for language, body in blocks_of(read(page)) if language == "python"]


def rows_of(text):
    """Cells of each row of each list-table, headers included."""
    return [
        [first.strip(), *(cell.strip() for cell in re.findall(r"^ {5}-(.*)$", rest, re.MULTILINE))]
        for first, rest in _ROWS.findall(text)
    ]
