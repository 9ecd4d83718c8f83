"""Sphinx: ``sphinx-build -W -b html docs docs/_build/html``."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import ganzoo

project = "ganzoo"
author = "the ganzoo authors"
release = version = ganzoo.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"ganzoo {release}"

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# as a list in the class, or a NamedTuple's fields would be described twice
napoleon_use_ivar = True


def _plain_numbers(app, what, name, obj, options, signature, returned):
    """A number with a range is a plain number in a signature: sphinx does not parse ``float in [0, 1)``."""
    return signature and re.sub(r"~?jsonargparse\.typing\.(int|float) in [\[(][^\])]*[\])]", r"\1", signature), returned


def list_modules(app, docname, source):
    """Replaces ``.. modules:: ganzoo.models`` by an automodule for each file of the folder."""
    source[0] = re.sub(r"^\.\. modules:: (\S+)$", lambda found: "\n".join(_modules(found[1])), source[0], flags=re.M)


def _modules(package):
    checkout = Path(__file__).parent.parent
    files = sorted(checkout.joinpath(*package.split(".")).rglob("*.py"))
    names = [".".join(path.relative_to(checkout).with_suffix("").parts) for path in files if path.name != "__init__.py"]
    return [f".. automodule:: {name}" for name in names]


def setup(app):
    """Sphinx calls this."""
    app.connect("source-read", list_modules)
    app.connect("autodoc-process-signature", _plain_numbers)
