"""The whole chain on the embedded glass: a table, a netCDF file, one figure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from xbp import plot
from xbp.analysis import boson_peak, correlation_map, dispersion, scale_to_sq
from xbp.core.errors import FileFormatError, MissingDependencyError, require
from xbp.io import to_netcdf
from xbp.io.netcdf import decline, open_netcdf
from xbp.io.publish import make_folder, new_file
from xbp.plot.style import ORANGE
from xbp.reduction import cut_E, cut_Q, to_bqe, to_gdos
from xbp.tutorial import open_dataset

__all__ = ["Study", "analyse", "draw", "run", "table"]

FIT_RANGE = ("1.2 meV", "12 meV")
Q_RANGE = ("2.1 1/angstrom", "8.5 1/angstrom")
PEAK_Q_RANGE = ("2.6 1/angstrom", "8.2 1/angstrom")
CUT_WIDTH = "0.5 meV"
ENERGIES = (2.1, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0, 25.0, 40.0)
#: Fit ranges whose effect on the peak energy is shown.
RANGES = ((1.2, 8.0), (1.2, 12.0), (1.2, 20.0), (1.6, 12.0), (2.2, 12.0), (2.2, 20.0))

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
    peak: xr.Dataset
    peaks: xr.Dataset
    dispersion: xr.Dataset
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
    >>> energy, r = study.dispersion.mean_energy, study.cuts[3.0].pearson_r
    >>> f"{float(energy):.2f} meV, r = {float(r):.2f}"
    '2.60 meV, r = 0.97'
    """
    glass = open_dataset("zr46cu46al8_md")
    b = to_bqe(glass)
    spectrum = cut_Q(b, Q_RANGE)
    # The shape is not quite log-normal, and errors of a simulation are small: weighted
    # by them the tail alone decides.
    peaks = boson_peak(b.B, E_range=FIT_RANGE)
    return Study(
        glass=glass,
        b=b,
        spectrum=spectrum,
        peak=boson_peak(spectrum.B, E_range=FIT_RANGE),
        peaks=peaks,
        dispersion=dispersion(peaks, PEAK_Q_RANGE),
        cuts={
            E: scale_to_sq(cut_E(b, E, CUT_WIDTH), glass.Sq, Q_RANGE) for E in ENERGIES
        },
        correlation=correlation_map(b, glass.Sq, Q_RANGE),
    )


def table(study: Study) -> str:
    """Write the results as a person would want to read them."""
    flat = study.dispersion
    lines = [
        "Zr46Cu46Al8 metallic glass, 4000 atoms, classical MD at 300 K",
        "",
        f"Boson peak: log-normal fit of B(Q,E) over {FIT_RANGE[0]} to {FIT_RANGE[1]}, "
        "at every Q from "
        f"{PEAK_Q_RANGE[0].split()[0]} to {PEAK_Q_RANGE[1].split()[0]} 1/angstrom, "
        "unweighted",
        f"  E_BP                {float(flat.mean_energy):.2f} meV, scatter "
        f"{float(flat.scatter):.2f} meV "
        f"({int(flat.n_points)} values of Q)",
        f"  dispersion          {float(flat.slope):+.4f} ± "
        f"{float(flat.slope_std):.4f} meV angstrom, "
        f"chi2/n of one energy {float(flat.chi2_reduced):.2f}",
        "",
        "Intensity: correlation r of B(Q,E) with S(Q), Q from "
        f"{Q_RANGE[0].split()[0]} to {Q_RANGE[1].split()[0]} 1/angstrom, cuts "
        f"{CUT_WIDTH} wide",
        "  E (meV)    " + "".join(f"{E:>7g}" for E in ENERGIES),
        "  Pearson    "
        + "".join(f"{float(study.cuts[E].pearson_r):>7.2f}" for E in ENERGIES),
        "  Spearman   "
        + "".join(f"{float(study.cuts[E].spearman_r):>7.2f}" for E in ENERGIES),
        "",
        "How E_BP depends on the fit (mean and scatter over Q, in meV):",
        "  range (meV)       weighted by std          unweighted",
    ]
    for limits in RANGES:
        cells = [_mean_energy(data, limits) for data in (study.b, study.b.B)]
        lines.append(
            f"  {limits[0]:>4g} to {limits[1]:<4g}      {cells[0]:<24} {cells[1]}"
        )
    lines += [
        "",
        "The first transverse phonon of the box of 41.1 angstrom, at "
        f"{float(study.glass.box_phonon):.2f} meV,",
        "sits on the low side of this peak: above 2.2 meV no maximum is left at any "
        "Q, so this box is too",
        "small to tell E_BP apart from it. A box of 10 000 atoms gave 3.5 meV (Li et "
        "al. 2025).",
    ]
    return "\n".join(lines)


def _mean_energy(data: xr.Dataset | xr.DataArray, limits: tuple[float, float]) -> str:
    peaks = boson_peak(data, E_range=limits)
    flat = dispersion(peaks, PEAK_Q_RANGE)
    in_range = peaks.Q.sel(Q=slice(*(float(q.split()[0]) for q in PEAK_Q_RANGE))).size
    found = int(flat.n_points)
    if found < 3:
        return f"no maximum ({found}/{in_range})"
    return (
        f"{float(flat.mean_energy):.2f} ± {float(flat.scatter):.2f} "
        f"({found}/{in_range})"
    )


def draw(study: Study, path: str | Path) -> None:
    """Draw the study in one figure, in the manner of the paper's Figs. 1 to 3, as PNG.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    # Without pyplot: it leaves no figure open, and needs no display.
    figure = require("matplotlib.figure", "the figure is drawn with it", "plot").Figure(
        figsize=(12.0, 6.8), layout="constrained"
    )
    axes = figure.subplots(2, 3)
    plot.map(study.b, study.glass.Sq, axes[0, 0], E_range=(1.0, 20.0))
    axes[0, 0].set_xlim(1.5, 8.5)

    inside = study.spectrum.sel(E=slice(0.8, 20.0))
    plot.peak(inside, study.peak, axes[0, 1])
    axes[0, 1].set_ylim(0, None)
    axes[0, 1].legend(frameon=False, fontsize="small")

    plot.peak(study.peaks.sel(Q=slice(1.5, 8.5)), ax=axes[0, 2])
    mean = float(study.dispersion.mean_energy)
    axes[0, 2].axhline(mean, color=ORANGE, lw=1.4, zorder=3)
    axes[0, 2].set_ylim(0, 2 * mean)
    axes[0, 2].set_title(
        f"mean {mean:.2f} meV, scatter {float(study.dispersion.scatter):.2f} meV",
        fontsize="small",
    )

    plot.scaling(study.cuts[3.0], axes[1, 0])
    plot.scaling(study.cuts[20.0], axes[1, 1])
    plot.correlation(study.correlation.sel(E=slice(0.8, 45.0)), axes[1, 2])
    for letter, ax in zip("abcdef", axes.flat, strict=True):
        ax.text(-0.16, 1.03, letter, transform=ax.transAxes, fontweight="bold")
    figure.savefig(path, dpi=150, format="png", metadata={"Software": _MARK})


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
        with new_file(picture, overwrite=True) as (temporary, _):
            draw(study, temporary)
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
