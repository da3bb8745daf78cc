"""Configuration of the site, which `make docs` builds."""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from numpydoc.docscrape_sphinx import SphinxDocString  # noqa: E402
from numpydoc.xref import DEFAULT_LINKS  # noqa: E402
from public import methods_of, methods_of_sklearn, public_names  # noqa: E402

import sklearn_ehr  # noqa: E402

project = "sklearn_ehr"
copyright = "the sklearn_ehr developers, BSD-3-Clause"
version = release = sklearn_ehr.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "changelog",
    "linking",
    "llms",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
nitpicky = True
default_role = "link"
highlight_language = "none"
smartquotes = False

# The reference
# -------------
autosummary_context = {"methods_of": methods_of, "methods_of_sklearn": methods_of_sklearn}
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"
# Types of Python and numpy have no link: for that, sphinx would have to fetch an index.
numpydoc_xref_aliases = {name: name for name in DEFAULT_LINKS} | {
    name: f":obj:`~{path}`" for name, path in public_names().items()
}
nitpick_ignore_regex = [("py:.*", r"(sklearn|torch|pandas|numpy|polars|skorch)\..*")]
suppress_warnings = ["config.cache"]  # autosummary_context holds functions, and is not cached

# The gallery
# -----------
# Examples save their pictures to the folder that they run in: they run in that of a copy.
EXAMPLES = HERE / "_build" / "examples"
shutil.copytree(HERE.parent / "examples", EXAMPLES, dirs_exist_ok=True)

sphinx_gallery_conf = {
    "examples_dirs": str(EXAMPLES.relative_to(HERE)),
    "gallery_dirs": "auto_examples",
    # The files of MIMIC-IV are given to few: that example says so, and is shown without output.
    "filename_pattern": r"/plot_(?!mimic\.py)",
    "within_subsection_order": "NumberOfCodeLinesSortKey",
    "doc_module": ("sklearn_ehr",),
    "reference_url": {"sklearn_ehr": None},
    "backreferences_dir": "reference/generated/backreferences",
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,  # its page loads scripts from another site
    "remove_config_comments": True,
}

# The pages
# ---------
html_theme = "pydata_sphinx_theme"
html_title = "sklearn_ehr"
html_static_path = ["_static"]
html_favicon = "_static/icon.svg"
html_context = {"default_mode": "auto"}
toc_object_entries_show_parents = "hide"
html_css_files = ["site.css"]
html_show_sphinx = False
html_theme_options = {
    "logo": {"text": "sklearn_ehr"},
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 6,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    # The landing page and the wide table of terms take all the width.
    "secondary_sidebar_items": {"**": ["page-toc", "sourcelink"], "index": [], "terms": []},
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "tutorial": [], "changelog": []}


def list_parameters(self, name, fake_autosummary=False, _list=SphinxDocString._str_param_list):
    """Leave attributes the text that the class gives them, in the place of a property's own."""
    return _list(self, name)


SphinxDocString._str_param_list = list_parameters
