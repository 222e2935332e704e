"""The public names of the errors, which are defined in core."""

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
