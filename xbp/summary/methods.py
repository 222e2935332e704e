"""Which methods of ``.bp`` are for data of one kind only, and what to do with others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import xarray as xr

from xbp.core.errors import QuantityError
from xbp.core.operation import step_to
from xbp.core.schema import QUANTITIES, quantity_name
from xbp.summary.signals import NEXT

__all__ = ["NEEDS", "applicable", "require_kind"]

#: What a method works on, and the quantity that it makes of it.
NEEDS: Final = {
    "structure_factor": ("trajectory", "static_structure_factor"),
    "dynamic_structure_factor": ("trajectory", "dynamic_structure_factor"),
    "intermediate_scattering_function": (
        "trajectory",
        "intermediate_scattering_function",
    ),
    "current_spectra": ("trajectory", "current_spectrum"),
    "vdos": ("trajectory", "vibrational_dos"),
    "msd": ("trajectory", "mean_square_displacement"),
    "radial_distribution": ("trajectory", "radial_distribution"),
    "box_phonon": ("trajectory", "box_phonon"),
    "local_fields": ("trajectory", "local_fields"),
    "fluctuation_spectrum": ("trajectory", "fluctuation_spectrum"),
    "compare_fluctuations": ("trajectory", "compare_fluctuations"),
    "to_structure_factor": ("radial_distribution", "static_structure_factor"),
    "to_radial_distribution": ("static_structure_factor", "radial_distribution"),
    "neutron_weighted_dos": ("vibrational_dos", "vibrational_dos"),
    "correct_neutron_weighting": ("vibrational_dos", "vibrational_dos"),
}
#: What else can be done with a trajectory.
_ANY_TRAJECTORY: Final = (
    "intermediate_scattering_function",
    "fluctuation_spectrum",
    "to_netcdf",
    "diagnostics",
)


def applicable(data: xr.DataArray | xr.Dataset, names: Iterable[str]) -> list[str]:
    """Leave those methods of ``.bp`` out that are for other data.

    What ``dir(data.bp)`` lists.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Anything.
    names : iterable of str
        Names of attributes.

    Returns
    -------
    list of str
        Of a trajectory what works on one; of other data all but what needs what they do
        not hold.

    Examples
    --------
    >>> import xbp
    >>> glass = xbp.tutorial.open_dataset("zr46cu46al8_md")
    >>> applicable(glass.S, ["cut_Q", "vdos"]), applicable(glass, ["to_radial_distribution", "to_structure_factor"])
    (['cut_Q'], ['to_radial_distribution'])
    """
    kinds = _kinds(data)
    if "trajectory" in kinds:
        able = {*NEXT["trajectory"], *_ANY_TRAJECTORY}
        return [name for name in names if name in able or name.startswith("_")]
    return [name for name in names if name not in NEEDS or NEEDS[name][0] in kinds]


def require_kind(data: xr.DataArray | xr.Dataset, method: str) -> None:
    """Refuse data that a method is not for, before it asks for arguments.

    Raises
    ------
    QuantityError
        Which says what the method is for, and what makes of these data what was wanted.

    Examples
    --------
    >>> import xbp
    >>> require_kind(xbp.tutorial.open_dataset("zr46cu46al8_md").S, "structure_factor")
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: .bp.structure_factor(…) is for a trajectory, and these data hold S(Q,E)
      why:  it is made of the positions of atoms
      fix:  data.bp.integrate_E() gives a 'static_structure_factor'
    """
    needed, made = NEEDS[method]
    kinds = _kinds(data)
    if needed in kinds:
        return
    known = [kind for kind in kinds if kind in QUANTITIES]
    held = (
        ", ".join(QUANTITIES[kind].label for kind in known)
        or "no quantity that is named"
    )
    steps = []
    if made in known:
        steps = [
            "they are one already"
            if isinstance(data, xr.DataArray)
            else f"they hold one: data[{kinds[made]!r}]"
        ]
    steps += [step for kind in known if (step := step_to(kind, (made, needed)))]
    raise QuantityError(
        f".bp.{method}(…) is for {_said(needed)}, and these data hold {held}",
        reason="it is made of the positions of atoms"
        if needed == "trajectory"
        else f"it starts from {_said(needed)}",
        fix=steps[0]
        if steps
        else f"{'open one with xbp.md.open_trajectory(path); ' if needed == 'trajectory' else ''}"
        "print(data.bp) says what can be done with these",
    )


def _kinds(data: xr.DataArray | xr.Dataset) -> dict[str, str]:
    """Return the quantities of data, each with the name of a variable of it."""
    if isinstance(data, xr.DataArray):
        return {str(quantity_name(data)): str(data.name)}
    kinds = {
        str(quantity_name(v)): str(name)
        for name, v in data.data_vars.items()
        if not str(name).endswith("_std")
    }
    # One that says it is a trajectory and is damaged is told what it lacks.
    is_trajectory = "position" in data or quantity_name(data) == "trajectory"
    return kinds | ({"trajectory": "position"} if is_trajectory else {})


def _said(quantity: str) -> str:
    return "a trajectory" if quantity == "trajectory" else QUANTITIES[quantity].label
