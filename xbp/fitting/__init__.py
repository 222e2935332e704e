"""The fit engine: scaled least squares, fits over the dimensions of a dataset, the shapes of a peak."""

from xbp.fitting.fit import fit

__all__ = ["fit"]
