"""The fit engine, fits over the dimensions of a dataset, shapes of a peak."""

from xbp.fitting.fit import fit

__all__ = ["fit"]
