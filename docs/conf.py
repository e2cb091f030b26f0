"""How the pages are built: ``tox -e docs``. Warnings are errors."""

project = "pytest-netfault"
author = "The pytest-netfault maintainers"
copyright = "2026, the pytest-netfault maintainers"  # noqa: A001 - Sphinx asks for this name

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "examples/**"]
html_theme = "furo"
html_title = "pytest-netfault"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"  # what no docstring mentions is nobody's business
autodoc_member_order = "bysource"
nitpicky = False
