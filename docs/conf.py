"""Sphinx builds the documentation from this.

`python -m sphinx -W -n -b html docs docs/_build/html`.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import urllib.request
from pathlib import Path

import sphinx.ext.autosummary
import sphinx_autosummary_accessors

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import breaks  # noqa: E402 (it is beside this file)
import names  # noqa: E402
import narrow  # noqa: E402
import pages  # noqa: E402
import signatures  # noqa: E402
import whole_numbers  # noqa: E402

import xbp  # noqa: E402

project = "xbp"
author = "The xbp developers"
copyright = "the xbp developers"
version = release = xbp.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_autosummary_accessors",
    "sphinx_copybutton",
    "sphinx_design",
]
templates_path = ["_templates", sphinx_autosummary_accessors.templates_path]
exclude_patterns = ["_build", "_templates", "**.ipynb_checkpoints"]
# A summary does not end at "Fig. 4".
sphinx.ext.autosummary.WELL_KNOWN_ABBREVIATIONS += (
    "Fig.",
    "Figs.",
    "Eq.",
    "Eqs.",
    "No.",
    "approx.",
)  # type: ignore[assignment]

html_theme = "furo"
html_title = "xbp"
html_static_path = ["_static"]
html_css_files = ["xbp.css"]
html_js_files = ["narrow.js"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
html_theme_options = {"light_css_variables": {"font-stack": "system-ui, sans-serif"}}

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
# A notebook names pages of docs/ as text; its code cells are colored by the lexer that
# is always there.
nb_execution_mode = "off"  # they have their output when they get here
# Progress bars and dask's notes on its workers are not part of a page.
nb_output_stderr = "remove"

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say shape and units, which types do not
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # but for names of constants: signatures.py
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_param = False
napoleon_use_ivar = True
default_role = "py:obj"
nitpicky = True
# In docstrings a name in backticks may be that of an argument, or of another library's
# function.
nitpick_ignore_regex = [
    ("py:obj", r"[^.]+|(matplotlib|lmfit|xarray|pint|dask)\..*"),
    # Types of attributes in words: "callable", "str to float".
    ("py:class", r"callable|x_units|str to \w+"),
]

# The tests run every notebook once; with their output in this folder, nothing is run a
# second time.
executed = os.environ.get("XBP_EXECUTED_NOTEBOOKS")
pages.copy_notebooks(
    Path(executed or HERE.parent / "notebooks"), HERE / "tutorial", run=not executed
)
pages.write_reference(HERE / "reference" / "api")
pages.write_commands(HERE / "reference" / "cli_help.txt")
pages.write_gallery(HERE, HERE / "gallery")


# Formulas are set by a file of the site itself, so that they show without a network.
for file in importlib.metadata.files("sphinx-mathjax-offline") or ():
    if file.name == "tex-svg.js":
        shutil.copyfile(file.locate(), HERE / "_static" / file.name)
        mathjax_path = file.name

# Names of other packages are links where their inventories are reachable.
INVENTORIES = {
    "numpy": "https://numpy.org/doc/stable/",
    "xarray": "https://docs.xarray.dev/en/stable/",
    "matplotlib": "https://matplotlib.org/stable/",
    "lmfit": "https://lmfit.github.io/lmfit-py/",
}


def reachable(address):  # type: ignore[no-untyped-def]
    """Whether the inventory of a site answers."""
    try:
        with urllib.request.urlopen(f"{address}objects.inv", timeout=3) as answer:
            return answer.status == 200
    except OSError:
        return False


intersphinx_mapping = (
    {name: (at, None) for name, at in INVENTORIES.items() if reachable(at)}
    if os.environ.get("XBP_INTERSPHINX") or os.environ.get("READTHEDOCS")
    else {}
)


def to_the_tutorial(app, docname, source):  # type: ignore[no-untyped-def]
    """Links to the notebooks of the repository lead to their copies here."""
    deep = "../" * docname.count("/")
    for before in ("](notebooks/", "](../notebooks/"):
        source[0] = source[0].replace(before, f"]({deep}tutorial/")


def setup(app):  # type: ignore[no-untyped-def]
    """Sphinx calls this."""
    app.connect("source-read", to_the_tutorial)
    # After the listener of autodoc that gives the source, whichever was connected first.
    app.connect(
        "autodoc-before-process-signature", signatures.show_values, priority=600
    )
    app.set_translator("html", breaks.NamesBreak)
    app.add_transform(names.LinkNames)
    app.add_transform(narrow.NarrowFigures)
    app.add_transform(whole_numbers.WholeNumbers)
