"""From terahertz and far-infrared absorption to g(E)/E²."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors, fingerprint
from xbp.core.data import Data, require_dims, require_some, require_values
from xbp.core.errors import CoordinateError, QuantityError, UnitsError, shown
from xbp.core.guards import not_used, require_number, require_positive
from xbp.core.operation import operation
from xbp.core.signal import read
from xbp.core.units import (
    convert_factor,
    format_unit,
    is_energy_like,
    parse_unit,
    split_quantity,
)

__all__ = ["to_reduced_absorption"]

#: C_IR(E) by name, and the power of E in it.
_POWERS = {"constant": 0, "linear": 1}


@operation(takes="absorption", gives="reduced_dos", over="E", step=14)
@carries_common_errors(linear=True)
def to_reduced_absorption(
    data: Data,
    coupling: Any = "constant",
    *,
    thickness: Any = None,
    thickness_std: Any = None,
) -> Data:
    r"""Return g(E)/E² from an absorption coefficient, in arbitrary units.

    .. math:: \frac{\alpha(\nu)}{\nu^2} = C_{IR}(\nu)\,\frac{g(\nu)}{\nu^2}

    The maximum of α/ν² with constant C_IR is the boson peak as far-infrared
    spectroscopy has it; the coupling moves it, and belongs to every quoted energy.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``absorption`` over E (meV, THz or 1/cm): α in 1/cm, or without units the
        absorbance −log₁₀ of the transmission of a film, and any further dimensions.
    coupling : {"constant", "linear"}, pair of scalars with units, or callable
        C_IR: constant; proportional to ν; A + Bν² as the pair (A, B), of which the
        ratio counts (bare: 1, and the inverse square of the unit of E); or a function
        of E in the unit of the data that returns positive numbers. It is divided out.
    thickness, thickness_std : scalar with units, optional
        Thickness of the film (bare: cm) of an absorbance, α = A ln 10/d, and its
        standard deviation, an error of all bins.

    Returns
    -------
    same type as `data`
        ``reduced_dos`` B(E) of E > 0, in units of α/E² (α/E³ with the linear coupling).

    Raises
    ------
    QuantityError
        If an absorbance has no thickness, α has one, or the coupling is not one of
        these.
    CoordinateError
        If the data are not over E, or have no E > 0.

    References
    ----------
    T. Mori et al., Phys. Rev. E 102, 022502 (2020), doi:10.1103/PhysRevE.102.022502
    (α/ν² and the boson peak); S. N. Taraskin et al., Phys. Rev. Lett. 97, 055504
    (2006), doi:10.1103/PhysRevLett.97.055504 (C_IR = A + Bν²).

    Examples
    --------
    >>> import numpy as np, xbp
    >>> nu = np.linspace(0.2, 3, 57)
    >>> B = np.exp(-np.log(nu / 1.1)**2 / 0.5)
    >>> film = xbp.new_dataset("absorption", B * nu**2 * (1 + 0.2 * nu**2),
    ...     units="1/cm", coords={"E": (nu, "THz")})
    >>> peak = film.bp.to_reduced_absorption((1, "0.2 1/THz^2")).bp.boson_peak()
    >>> round(float(peak.energy), 6)
    1.1
    """
    signal = read(data, "absorption")
    value = signal.value
    require_dims(value, "E", "to_reduced_absorption", error=CoordinateError)
    E, units = value["E"].values.astype(float), str(value["E"].attrs["units"])
    require_some(E > 0, "energy E > 0", E, units, error=CoordinateError)
    film = parse_unit(signal.units).dimensionless
    scale, error = 1.0, 0.0
    if film:
        if thickness is None:
            raise QuantityError(
                f"'{value.name}' has no units; for α of an absorbance, pass thickness=",
                fix="thickness='10 um', or attrs['units'] = '1/cm' if it is α",
            )
        depth = require_positive(thickness, "thickness", "cm", error=QuantityError)
        scale = math.log(10) / depth
        if thickness_std is not None:
            error = require_number(
                thickness_std, "thickness_std", "cm", least=0, error=QuantityError
            )
            error /= depth
    else:
        not_used(
            f"the data are α in '{signal.units}'",
            thickness=thickness,
            thickness_std=thickness_std,
        )
    kept: Any = {"E": np.flatnonzero(E > 0)}
    at = E[E > 0]
    power, divisor = _coupling(coupling, at, units)
    by = xr.Variable("E", scale / (at**2 * divisor))
    foreign = [c for c in value.coords if c != "E" and "E" in value[c].dims]

    def reduced(part: xr.DataArray) -> xr.DataArray:
        return part.drop_vars(foreign).isel(kept) * by

    out, std = signal.both(reduced)
    common = {}
    if error and std is not None:
        name = fingerprint("thickness", scale, error)
        common[name] = -error * out.variable
    unit = parse_unit("1/cm" if film else signal.units)
    answer: Data = signal.answer(
        out.transpose(*value.dims),
        None if std is None else std.transpose(*value.dims),
        operation="to_reduced_absorption",
        arguments={
            "coupling": getattr(coupling, "__name__", coupling),
            "thickness": thickness,
            "thickness_std": thickness_std,
        },
        units=format_unit(unit / parse_unit(units) ** (2 + power)),
        quantity="reduced_dos",
        attrs={"probe": "infrared"},
        common=common,
    )
    return answer


def _coupling(coupling: Any, E: np.ndarray, units: str) -> tuple[int, np.ndarray]:
    """Return the power of E in the units of C_IR, and C_IR at each energy."""
    if isinstance(coupling, str) and coupling in _POWERS:
        power = _POWERS[coupling]
        return power, E**power
    if isinstance(coupling, tuple | list) and len(coupling) == 2:
        limits: Any = {"least": 0, "error": QuantityError}
        first = require_number(coupling[0], "A of coupling", "1", **limits)
        number, own = split_quantity(coupling[1], "B of coupling")
        # 1/THz² is one over the square of an energy in THz.
        root = format_unit(parse_unit(own) ** -0.5) if own else units
        if not is_energy_like(parse_unit(root)):
            inverse = format_unit(parse_unit(units) ** -2)
            raise UnitsError(
                f"B of coupling is in {own!r}, which does not convert to {inverse!r}"
            )
        to_root = convert_factor(units, root, name="B of coupling", energy=True)
        second = require_number(number, "B of coupling", **limits)
        found = first + second * (E * to_root) ** 2
    elif isinstance(coupling, Callable):  # type: ignore[arg-type]
        found = np.broadcast_to(np.asarray(coupling(E.copy()), dtype=float), E.shape)
    else:
        raise QuantityError(
            f"coupling={shown(coupling)} is not a C_IR(ν)",
            fix="coupling='constant', 'linear', (1, '0.2 1/THz^2') or a function",
        )
    require_values(found, "C_IR", above=0, below=np.inf, error=QuantityError)
    return 0, found
