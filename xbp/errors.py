"""The one family of errors xbp raises: what is wrong, why, and how to fix it."""

from xbp.core.errors import (
    ArgumentsError,
    CoordinateError,
    FileFormatError,
    MissingDependencyError,
    QuantityError,
    RangeError,
    SimulationError,
    TemperatureError,
    UnitsError,
    XbpError,
)

__all__ = [
    "ArgumentsError",
    "CoordinateError",
    "FileFormatError",
    "MissingDependencyError",
    "QuantityError",
    "RangeError",
    "SimulationError",
    "TemperatureError",
    "UnitsError",
    "XbpError",
]
