"""Small data sets that come with xbp."""

from __future__ import annotations

from importlib.resources import as_file, files

import xarray as xr

from xbp.core.errors import FileFormatError
from xbp.core.guards import choose

__all__ = ["open_dataset", "open_datatree"]

NAMES = (
    "zr46cu46al8",
    "zr46cu46al8_md",
    "zr46cu46al8_fluctuations",
    "kob_andersen_trajectory",
    "bmg_lrmecs",
    "silicates_raman",
)
GLASSES = ("kob_andersen", "inverse_power", "CuZr", "SiO2", "ZrCuAl")
TREES = {
    **{name: f"glass_{name}" for name in GLASSES},
    "kob_andersen_series": "kob_andersen_series",
    "zr46cu46al8_glasses": "zr46cu46al8_glasses",
    "kob_andersen_2d": "kob_andersen_2d",
    "kob_andersen_glasses": "kob_andersen_glasses",
    "metallic_glasses": "metallic_glasses",
}


def open_dataset(name: str) -> xr.Dataset:
    """Open an embedded data set, in memory.

    Parameters
    ----------
    name : {"zr46cu46al8",
    "zr46cu46al8_md", "zr46cu46al8_fluctuations", "kob_andersen_trajectory",
    "bmg_lrmecs", "silicates_raman"}
        ``zr46cu46al8_md``: S(Q,E), S(Q) and g(E), with standard deviations, of a
        Zr46Cu46Al8 metallic glass of 4000 atoms from classical MD at 300 K.
        ``zr46cu46al8_fluctuations``: what `compare_fluctuations` finds of six local
        fields in it. ``kob_andersen_trajectory``: 40 ps of 400 atoms of a Kob-Andersen
        glass at 6 K, as `make_glass` made it. ``bmg_lrmecs``: S(Q,E) of a bulk metallic
        glass measured at 300 K on LRMECS with E_i = 78.3 meV, from 6 meV up in bins of
        0.2 1/angstrom and 2 meV, the elastic line (``line``, FWHM 5.8 meV) subtracted,
        and S(Q) of that line; its scale is arbitrary, and ``u2`` is that of simulated
        Zr46Cu46Al8. Derived from raw spectra in danse-inelastic/ins-data.
        ``silicates_raman``: Raman spectra I(E) of two silicate glasses, 26 to 281 1/cm
        in bins of 3 1/cm, on an arbitrary scale and without errors. Derived from
        examples of charlesll/rampy.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    FileFormatError
        If the name is unknown.

    Examples
    --------
    >>> open_dataset("zr46cu46al8").sizes["Q"]
    170
    """
    choose(name, NAMES, "name", error=FileFormatError)
    with as_file(files("xbp.data") / f"{name}.nc") as path:
        return xr.load_dataset(path, engine="netcdf4")


def open_datatree(name: str) -> xr.DataTree:
    """Open what is known of a glass, or of several, in memory.

    Parameters
    ----------
    name : {"kob_andersen", "inverse_power", "CuZr", "SiO2", "ZrCuAl",
    "kob_andersen_series", "zr46cu46al8_glasses", "kob_andersen_2d",
    "kob_andersen_glasses", "metallic_glasses"}
        A system of `xbp.md.lammps.make_glass`; the glasses were made by
        ``xbp/data/make_model_glasses.py``, as the series of glasses.

    Returns
    -------
    xarray.DataTree
        ``spectra``: S(Q,E), S(Q), g(E) and the boson peak, as from `glass_spectra`;
        ``fluctuations``: as from `compare_fluctuations`; ``harmonic``: g(E) and modes
        about the inherent structure; ``thermodynamics`` of the run and the glass
        ``transition``. Of the series: ``cooling_rate`` and ``n_atoms``, as from
        `cooling_series` and `size_series`. Of each glass behind ``zr46cu46al8``
        ``dos``, its g(E), ``at_rest``, its atoms, ``elastic`` constants and, of three,
        ``spectra``, S(Q,E).

        ``kob_andersen_2d``, four glasses of 500 atoms in a plane: ``spectra`` (S(Q,E),
        S(Q), g(E), sound velocities), ``currents``, ``long_waves`` (currents in thinner
        shells) and ``shear_strain`` without a box, averaged; ``dos`` and ``at_rest`` of
        each; and of the first a ``trajectory`` (10 ps at 6 K), g(E) of a longer one
        (``md``) and the ``thermodynamics`` of its quench. ``kob_andersen_glasses``,
        without a box: g(E) of sixteen glasses of 1000 atoms and of two of 2000, and
        their averaged ``spectra``; the same of six quenched more slowly.
        ``metallic_glasses``: g(E) and elastic constants of further ones without a box;
        of those made here also ``at_rest``, and of some of 2000 atoms ``spectra``; and
        of 10 000 atoms ``heated``, g(E) at four temperatures.

    Raises
    ------
    FileFormatError
        If the glass is unknown.

    Examples
    --------
    >>> sorted(open_datatree("CuZr").children)
    ['fluctuations', 'harmonic', 'spectra', 'thermodynamics', 'transition']
    """
    choose(name, TREES, "name", error=FileFormatError)
    with (
        as_file(files("xbp.data") / f"{TREES[name]}.nc") as path,
        xr.open_datatree(path, engine="netcdf4") as tree,
    ):
        return tree.load()
