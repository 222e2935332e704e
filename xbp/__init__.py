"""Boson-peak analysis of glasses as one chain of unit-checked calls on xarray data.

``import xbp`` registers the accessor ``.bp`` on DataArray and Dataset, whose methods
are functions of the same name here, and on DataTree, whose methods are those of
`xbp.study`. The public names are those in ``__init__.pyi``; the module of each is
imported when the name is first used.
"""

import lazy_loader

from xbp import accessor  # noqa: F401  (registers .bp)
from xbp.core.errors import VERSION as __version__  # noqa: F401
from xbp.core.errors import nearest

_imported, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    near = [] if name in __all__ or name[:1] == "_" else nearest(name, __all__)
    if near:
        raise AttributeError(f"xbp has no {name!r}; the nearest: {', '.join(near)}")
    return _imported(name)
