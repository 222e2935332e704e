"""The public names of the errors in `core/errors.py`."""

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
