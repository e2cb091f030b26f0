"""How the pages are built: ``tox -e docs``. Warnings are errors."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for site_names

project = "pytest-netfault"
author = "The pytest-netfault maintainers"
copyright = "2026, the pytest-netfault maintainers"  # noqa: A001 - Sphinx asks for this name

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "site_names"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "examples/**"]
html_theme = "furo"
html_title = "pytest-netfault"
html_static_path = ["_static"]
html_extra_path = ["live"]
html_css_files = ["site.css"]

myst_enable_extensions = ["attrs_block", "colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"  # what no docstring mentions is nobody's business
autodoc_member_order = "bysource"
nitpicky = False

# A prompt, and what a command printed, are not copied.
copybutton_prompt_text = "$ "
copybutton_exclude = ".linenos, .gp, .go"
