"""Check of the built site: every link within it leads somewhere, and nothing else is loaded."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes of what a page loads as it opens, unlike a link that a reader may follow.
_LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("object", "data")}
_LOADED_BY_CSS = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)")
_LINK_IN_MARKDOWN = re.compile(r"\]\(([^)\s]+)\)")


class Page(HTMLParser):
    """Links, anchors and loaded files of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], {""}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Note what a tag links, loads or names."""
        for name, value in attributes:
            if value is None:
                continue
            if name == "id" or (tag, name) == ("a", "name"):
                self.anchors.add(value)
            elif (tag, name) == ("a", "href"):
                self.links.append(value)
            elif (tag, name) in _LOADED and not value.startswith("data:"):
                self.loaded.append(value)


def read_site(folder):
    """Pages of a site by their path, and ``llms.txt`` as a page of links."""
    files = [path for path in folder.rglob("*.html") if "_static" not in path.parts]
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in files}
    llms = (folder / "llms.txt").resolve()
    if llms.exists():
        pages[llms] = Page("")
        pages[llms].links = _LINK_IN_MARKDOWN.findall(llms.read_text(encoding="utf-8"))
    return pages


def leads_nowhere(link, page, pages):
    """Whether a link of a page is one within the site to a file or an anchor that is missing."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return False
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target not in pages:
        return not target.is_file()
    return unquote(parts.fragment) not in pages[target].anchors


def faults_of(folder):
    """A line for each link that leads nowhere, and for each file loaded from another site."""
    folder = Path(folder).resolve()
    pages = read_site(folder)
    missing, foreign = [], []
    for path, page in sorted(pages.items()):
        links = dict.fromkeys([*page.links, *page.loaded])
        missing += [(path, link) for link in links if leads_nowhere(link, path, pages)]
        foreign += [(path, link) for link in page.loaded if urlsplit(link).netloc]
    for path in sorted(folder.rglob("*.css")):
        links = _LOADED_BY_CSS.findall(path.read_text(encoding="utf-8"))
        foreign += [(path, link) for link in links]
    return [
        *(f"{path.relative_to(folder)}: {link} leads nowhere" for path, link in missing),
        *(f"{path.relative_to(folder)}: {link} is of another site" for path, link in foreign),
    ]


if __name__ == "__main__":
    found = faults_of(sys.argv[1])
    print("\n".join(found) or "Every link within the site leads somewhere.")
    sys.exit(bool(found))
