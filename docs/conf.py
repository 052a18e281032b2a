"""How the documentation is built: `sphinx-build -W -b html docs docs/_build/html`, strict and without a network."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

import allsight

project = "Allsight"
author = "the authors of Allsight"
copyright = "the authors of Allsight, Apache-2.0"
version = release = allsight.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docstrings", "model_tables", "record_tables"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"Allsight {release}"
html_show_sourcelink = False
html_copy_source = False
