"""Settings of the site: `sphinx-build -W --keep-going -b html docs docs/_build/html`."""

import os
import re
import sys
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")
sys.path.insert(0, str(Path(__file__).parent / "scripts"))

import nbgrad

project = "nbgrad"
author = "the nbgrad developers"
version = release = nbgrad.__version__
extensions = [
    "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton",
    "sphinx_design", "sphinx_gallery.gen_gallery", "public_names",
]  # fmt: skip
exclude_patterns = ["_build", "scripts", "gallery/*.ipynb", "gallery/*.py", "gallery/*.zip"]
default_role = "code"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4  # links to headings are those of the repository's host
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "image_scrapers": ("matplotlib",),
    "thumbnail_size": (520, 340),
}

html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = "nbgrad"
html_show_sourcelink = False
html_sidebars = {"index": [], "tutorial": [], "changelog": []}
html_theme_options = {
    "logo": {"text": "nbgrad"},
    "header_links_before_dropdown": 6,
    # all pages but those in guides/, whose tables want the room
    "secondary_sidebar_items": {pages: ["page-toc"] for pages in ("[!g]*", "[!g]*/*", "g[!u]*", "gallery/*")},
    "footer_start": ["copyright"],
    "footer_end": [],
}
project_copyright = "the nbgrad developers, BSD-3-Clause"

#: Texts outside of this folder that have a page here: what links to them in the repository leads to the page.
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "README.md": "index.md"}


def link_here(app, docname, source):
    """Links of a page as the site needs them: pages that include a text of the root, and its links from there."""
    up = "../" * (docname.count("/") + 1)
    text = source[0]
    for outside, page in PAGES.items():
        text = text.replace(f"]({up}{outside}", f"]({up[3:]}{page}")
    source[0] = re.sub(rf"\]\({re.escape(up)}examples/gallery/(\w+)\.py\)", rf"]({up[3:]}gallery/\1.rst)", text)


def include_here(app, relative_path, parent_docname, content):
    """The same for a text of the root that a page includes."""
    text = re.sub(r"\]\((?!https?:|#)docs/", "](", content[0])
    for outside, page in PAGES.items():
        text = text.replace(f"]({outside}", f"]({page}")
    content[0] = re.sub(r"\[([^\]]*)\]\((?:kernels|examples)/[^)]*\)", r"\1", text)  # no page of the site


def setup(app):
    app.connect("source-read", link_here)
    app.connect("include-read", include_here)
