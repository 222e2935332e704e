"""The whole chain on the embedded glass: a table, a netCDF file, one figure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from xbp import plot
from xbp.analysis import boson_peak, correlation_map, scale_to_sq
from xbp.core.errors import FileFormatError, MissingDependencyError, require
from xbp.core.status import Status
from xbp.io import to_netcdf
from xbp.io.netcdf import decline, open_netcdf
from xbp.io.publish import make_folder, new_file
from xbp.models.dimension import debye_level
from xbp.reduction import cut_E, cut_Q, to_bqe, to_gdos
from xbp.tutorial import open_dataset, open_datatree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Study", "analyse", "draw", "run", "table"]

FIT_RANGE = ("0.9 meV", "8 meV")
Q_RANGE = ("2.1 1/angstrom", "8.5 1/angstrom")
CUT_WIDTH = "0.5 meV"
AT_PEAK, ABOVE = 3.25, 20.0  # meV, of the figure
ENERGIES = (1.25, 2.25, AT_PEAK, 5.0, 8.0, 10.0, 15.0, ABOVE, 25.0)
#: Of the figure's panel c: where B is level, meV, and momentum transfers, 1/angstrom.
PLATEAU, SHAPES = (2.0, 4.0), (2.7, 3.7, 4.8, 6.1, 8.0)
#: Energies of the panels b and c, meV: below, B is noise over next to nothing.
SHOWN = (0.8, 20.0)
#: Fit ranges whose effect on the peak energy is shown.
RANGES = ((0.9, 8.0), (0.9, 6.0), (0.9, 12.0), (1.5, 8.0), (2.0, 8.0))

#: By what a later run knows the files of an earlier one, which it may replace.
_MARK = "xbp demo"
#: Texts stand before the pixels.
_PNG_HEAD = 4096


@dataclass(frozen=True)
class Study:
    """Every result of the chain, as its functions return them."""

    glass: xr.Dataset
    b: xr.Dataset
    spectrum: xr.Dataset
    dos_peak: xr.Dataset
    of_each_glass: dict[str, xr.Dataset]
    peak: xr.Dataset
    of_each_range: dict[tuple[float, float], xr.Dataset]
    peaks: xr.Dataset
    shapes: dict[float, xr.DataArray]
    cuts: dict[float, xr.Dataset]
    correlation: xr.Dataset


def analyse() -> Study:
    """Carry the embedded S(Q,E) through the chain.

    Returns
    -------
    Study

    Examples
    --------
    >>> study = analyse()
    >>> str(study.dos_peak.status.values), f"{float(study.dos_peak.excess):.1f}"
    ('no maximum', '2.3')
    """
    glass = open_dataset("zr46cu46al8")
    b = to_bqe(glass)
    spectrum = cut_Q(b, Q_RANGE)
    level = f"{debye_level(float(glass.debye_energy), 3)} 1/meV**3"
    return Study(
        glass=glass,
        b=b,
        spectrum=spectrum,
        dos_peak=boson_peak(
            to_bqe(glass[["g", "g_std"]]), E_range=FIT_RANGE, debye_level=level
        ),
        of_each_glass=_of_each_glass(),
        peak=boson_peak(spectrum, E_range=FIT_RANGE),
        of_each_range={
            limits: boson_peak(spectrum, E_range=limits) for limits in RANGES
        },
        peaks=boson_peak(b.sel(Q=slice(2.1, 8.5)), E_range=FIT_RANGE),
        shapes={Q: _shape(b, Q) for Q in SHAPES},
        cuts={
            E: scale_to_sq(cut_E(b, E, CUT_WIDTH), glass.Sq, Q_RANGE) for E in ENERGIES
        },
        correlation=correlation_map(b, glass.Sq, Q_RANGE),
    )


def _shape(b: xr.Dataset, Q: float) -> xr.DataArray:
    """Return B(E) about a Q, divided by its mean over the plateau."""
    cut: xr.DataArray = cut_Q(b, Q, "0.3 1/angstrom").B.sel(E=slice(*SHOWN))
    return cut / float(cut.sel(E=slice(*PLATEAU)).mean())


def _of_each_glass() -> dict[str, xr.Dataset]:
    """Return the peak of g(E)/E² of each glass, by its number of atoms."""
    found: dict[str, xr.Dataset] = {}
    for one in open_datatree("zr46cu46al8_glasses").children.values():
        number = f"{one['at_rest'].sizes['atom']} atoms"
        same = sum(name.startswith(number) for name in found)
        name = f"{number}, {'abcdefgh'[same]}"
        found[name] = boson_peak(to_bqe(one["dos"].to_dataset()), E_range=FIT_RANGE)
    return found


def table(study: Study) -> str:
    """Write the results as a person would want to read them."""
    glass = study.glass
    Q_low, Q_high = (end.split()[0] for end in Q_RANGE)
    over = f"{FIT_RANGE[0]} to {FIT_RANGE[1]}"
    found = int((study.peaks.status == Status.OK).sum())
    lines = [
        *textwrap.wrap(str(glass.attrs["title"]), 80),
        "",
        f"Boson peak (log-normal, {over}; no box cuts off these spectra):",
        f"  g(E)/E²             {_peak(study.dos_peak)}",
        f"    over Debye level  {_excess(study.dos_peak)}",
        *(f"    {name:<18}{_peak(one)}" for name, one in study.of_each_glass.items()),
        f"  B(E)                {_peak(study.peak)}",
        f"  B(Q,E)              a maximum at {found} of {study.peaks.status.size} Q",
        "",
        f"Intensity against S(Q), Q from {Q_low} to {Q_high} 1/angstrom, cuts "
        f"{CUT_WIDTH} wide:",
        "  E (meV)        " + _row(ENERGIES, "g"),
        "  r              " + _row([_of(study, E, "pearson_r") for E in ENERGIES]),
        "  its error      " + _row([_of(study, E, "pearson_r_std") for E in ENERGIES]),
        "  rms B/(A S)-1  " + _row([_of(study, E, "ratio_rms") for E in ENERGIES]),
        "",
        "How the energy of B(E) depends on the range of the fit:",
    ]
    for (low, high), peak in study.of_each_range.items():
        lines.append(f"  {low:>4g} to {high:<4g} meV    {_peak(peak)}")
    return "\n".join(lines)


def _peak(peak: xr.Dataset) -> str:
    """Write the energy of a peak, or why none was found."""
    if str(peak.status.values) == Status.OK:
        return f"{float(peak.energy):.2f} ± {float(peak.energy_std):.2f} meV (ok)"
    return f"{peak.status.values}; highest at {float(peak.excess_energy):.2f} meV"


def _excess(peak: xr.Dataset) -> str:
    """Write the excess over the Debye level."""
    return (
        f"{float(peak.excess):.2f} ± {float(peak.excess_std):.2f}, from "
        f"{float(peak.excess_low):.1f} to {float(peak.excess_high):.1f} meV"
    )


def _row(values: Iterable[float], form: str = ".2f") -> str:
    return "".join(f"{value:>7{form}}" for value in values)


def _of(study: Study, E: float, name: str) -> float:
    return float(study.cuts[E][name])


def draw(study: Study) -> Figure:
    """Draw the study in one figure, in the manner of the paper's Figs. 1 to 3.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    # Without pyplot: it leaves no figure open, and needs no display.
    module = require("matplotlib.figure", "draw figures", "plot")
    figure: Figure = module.Figure(figsize=(8.6, 5.2), layout="constrained")
    axes = figure.subplots(2, 3)
    plot.map(study.b, study.glass.Sq, axes[0, 0], E_range=(1.0, 20.0))
    axes[0, 0].set_xlim(1.5, 8.5)

    plot.peak(study.spectrum, study.peak, axes[0, 1], E_range=SHOWN)
    grey = {"color": "0.92", "lw": 0, "zorder": 0}

    low, high = PLATEAU
    for (Q, shape), color in zip(study.shapes.items(), plot.COLORS, strict=False):
        axes[0, 2].plot(shape.E, shape, lw=1.2, color=color, label=f"{Q:g}")
    axes[0, 2].set(
        xlabel="$E$ (meV)",
        ylabel=f"$B$ / mean at {low:g}–{high:g} meV",
        ylim=(0, 1.75),
    )
    axes[0, 2].axvspan(low, high, **grey)
    legend = {"frameon": False, "fontsize": "small", "ncols": 3, "loc": "upper right"}
    axes[0, 2].legend(title="$Q$ (Å$^{-1}$)", **legend)

    plot.scaling(study.cuts[AT_PEAK], axes[1, 0])
    plot.scaling(study.cuts[ABOVE], axes[1, 1])
    plot.correlation(study.correlation.sel(E=slice(0.8, 45.0)), axes[1, 2])
    axes[1, 2].set_ylabel("correlation with $S(Q)$")
    for letter, ax in zip("abcdef", axes.flat, strict=True):
        ax.text(-0.16, 1.03, letter, transform=ax.transAxes, fontweight="bold")
    return figure


def run(folder: Path, *, overwrite: bool = False) -> str:
    """Run the chain, write ``zr46cu46al8.nc`` and ``demo.png``, return the table.

    Parameters
    ----------
    folder : pathlib.Path
        Made where it does not exist. Files of these names in it that an earlier run
        wrote are replaced.
    overwrite : bool
        Replace files of these names that are not the demo's, too.

    Returns
    -------
    str
        The table, and what was written.

    Raises
    ------
    FileFormatError
        If a file of such a name is not the demo's and `overwrite` is not given, or
        cannot be written.
    """
    folder = make_folder(folder)
    archive, picture = folder / "zr46cu46al8.nc", folder / "demo.png"
    for path in (archive, picture):
        if not overwrite and path.exists() and not _is_own(path):
            raise FileFormatError(
                f"{path} exists",
                reason="xbp demo did not write it, and would replace it",
                fix="choose another folder, or pass overwrite=True",
            )
    study = analyse()
    ds = to_gdos(study.glass).assign({n: study.b[n].variable for n in ("B", "B_std")})
    to_netcdf(ds.assign_attrs(made_by=_MARK), archive, overwrite=True)
    lines = [table(study), "", f"archived: {archive}"]
    try:
        style = require("matplotlib.style", "draw figures", "plot")
        with (
            new_file(picture, overwrite=True) as (temporary, _),
            style.context("xbp.plot.column"),
        ):
            metadata = {"Software": _MARK}
            draw(study).savefig(temporary, dpi=150, format="png", metadata=metadata)
        lines.append(f"figure:   {picture}")
    except MissingDependencyError as error:
        lines.append(f"figure:   not drawn ({error.summary}; {error.fix})")
    return "\n".join(lines)


def _is_own(path: Path) -> bool:
    """Tell whether a file says that the demo wrote it.

    An attribute of netCDF, the software of a PNG.
    """
    try:
        if path.suffix == ".png":
            with path.open("rb") as stream:
                return f"Software\0{_MARK}".encode() in stream.read(_PNG_HEAD)
        if decline(path) is not None:
            return False
        with open_netcdf(path) as ds:
            return bool(ds.attrs.get("made_by") == _MARK)
    except (OSError, FileFormatError):
        return False
