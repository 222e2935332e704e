"""Glasses made in LAMMPS, from Python.

The public names are those in ``__init__.pyi``; the module of each is imported when
the name is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
