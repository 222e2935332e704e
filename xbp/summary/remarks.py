"""What is worth a remark about a signal.

How it was made, how well, and what is odd about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import xarray as xr

from xbp.core.format import with_error
from xbp.core.status import NO_SCATTERING, OK, TRUNCATED, U2_DISAGREES
from xbp.reduction.sample import off_scale

__all__ = ["of_the_sample", "remarks", "units_of"]

#: A density of states rises from nothing: one that is highest below this part of its
#: range is something else's.
_LOW_END: Final = 0.08
#: One and a half times 3R, in J/mol/K: anharmonic solids and liquids stay below.
_MOST_HEAT: Final = 37.4
_OF_A_LIQUID: Final = (
    "or in a liquid, whose quasi-elastic line is no phonons: .bp.mask_elastic(…) it "
    "as far as it reaches, or go on "
    "with .bp.to_bqe(u2='0 angstrom^2')"
)
#: What to do where no g(E) was found.
_MENDS: Final[Mapping[str, str]] = {
    "no data": ": E_range= and Q_range= hold no number, or nothing is beyond E_range= "
    "to fit multiple scattering in",
    "fit failed": ": no positive area is left, as where a background was taken off "
    "twice, or Q is too high for u2, " + _OF_A_LIQUID,
    "not converged": ": no g(E) of this mass explains these data; widen E_range= to "
    "all phonons or pass initial_dos=, "
    "end Q_range= lower, or take the background off; " + _OF_A_LIQUID,
    NO_SCATTERING: ": a background beyond E_range= was taken for it, until nothing "
    "was left; "
    "end E_range= at the highest phonon",
    TRUNCATED: "g(E) has not fallen where E_range= ends; widen it, or pass "
    "initial_dos= of a higher incident energy",
    U2_DISAGREES: "S(Q,E) falls less with Q than this u2 says, as where E_range= ends "
    "inside the band; "
    "widen it, or pass initial_dos= of a higher incident energy",
}
#: Part of the area of g(E) that may stand in for what was not measured without a word.
_MUCH_EXTENDED = 0.1
#: Twice scattered neutrons are a part of those that met several phonons, in a sample
#: that scatters a tenth.
_MUCH_SCATTERING = 0.5
#: A last tenth of g(E) so much higher than the tenth before it rises.
_RISES = 1.5
#: How many comments of a file are shown, and how much of each.
_FEW: Final = 5
_WIDE: Final = 140
#: From here on a mean is over the whole interval but for rounding.
_WHOLE = 0.9995
#: A number that stands for none is far below those that are measured, and in this part
#: of the bins.
_FAR_BELOW, _MANY = 1e-4, 0.05
#: Two sides of thousands of bins that are one have a chi-squared of one.
_MOST_DISAGREEMENT = 2.0


def units_of(variable: xr.DataArray) -> str:
    """Write units after a number; nothing where it is pure."""
    units = str(variable.attrs.get("units", "(no units)"))
    return "" if units == "1" else f" {units}"


def remarks(
    value: xr.DataArray, source: xr.DataArray | xr.Dataset, *, first: bool
) -> list[str]:
    """Return lines on a signal.

    On what it shares with the others of a Dataset only where it is the first.
    """
    lines = []
    if (
        value.attrs["quantity"] == "vibrational_dos"
        and value.dims == ("E",)
        and value.chunks is None
    ):
        lines += _of_its_low_end(value)
    if (
        value.attrs["quantity"] == "heat_capacity"
        and value.attrs.get("amount") == "atoms"
        and value.chunks is None
    ):
        most = float(value.max())
        if most > _MOST_HEAT:
            lines.append(
                f"  beware: it reaches {most:.3g}{units_of(value)}, "
                f"{most / 24.94:.1f} times 3R: mass, molar mass or "
                "number of atoms may be another"
            )
    lines += _of_the_inversion(value, source)
    if value.attrs["quantity"] == "dynamic_structure_factor" and value.chunks is None:
        lines += _of_a_filler(value)
    lines += _of_the_scale(value)
    if first and isinstance(source, xr.Dataset):
        lines += _of_the_errors(value, source)
    return lines


def of_the_sample(value: xr.DataArray) -> list[str]:
    """Tell of the sample of a heat capacity, and quote what the instrument said."""
    sample = [
        f"{said} {value.attrs[key]}"
        for key, said in (("sample_mass", "mass"), ("molar_mass", "molar "
                                                                  "mass"), ("atoms_per_formula", "atoms"))
        if key in value.attrs
    ]  # fmt: skip
    return ([f"  of the sample: {', '.join(sample)}"] if sample else []) + _comments(
        value
    )


def _of_its_low_end(value: xr.DataArray) -> list[str]:
    if not value.notnull().any() or float(value.idxmax("E")) >= _LOW_END * float(
        value.E[-1]
    ):
        return []
    return [
        "  beware: it is highest at "
        f"{float(value.idxmax('E')):.3g}{units_of(value.E)}, its low end: an elastic "
        "line "
        "may be in it, which .bp.mask_elastic(...) of S(Q,E) takes out, or E_range="
    ]


def _of_the_inversion(
    value: xr.DataArray, source: xr.DataArray | xr.Dataset
) -> list[str]:
    """Tell whether g(E) was found, with what, and how much of it was not measured."""
    lines = []
    status = value.coords.get("status")
    if status is not None and status.chunks is None and status.dtype.kind in "OU":
        for said, count in zip(
            *np.unique(status.values.astype(str), return_counts=True), strict=True
        ):
            if said != OK:
                where = f" in {count} of {status.size}" if status.ndim else ""
                mend = _MENDS.get(str(said), "")
                lines.append(
                    f"  status: {said}{where}, so it is "
                    f"NaN{mend}{_range_to_try(str(said), source)}"
                )
    unknown = value.coords.get("u2_status")
    if unknown is not None and unknown.chunks is None and status is not None:
        for said in np.unique(
            unknown.values.astype(str)[status.values.astype(str) == OK]
        ):
            if said != OK:
                # A u2 that was given stays, whatever the range holds.
                u2 = value.coords.get("u2")
                known = (
                    u2 is not None
                    and u2.chunks is None
                    and bool(u2.where(unknown == said).notnull().any())
                )
                lost = "the area is" if known else "u2 and the area are"
                lines.append(
                    f"  u2_status: {said}, so {lost} unknown: "
                    f"{_MENDS.get(str(said), '')}"
                )
    if (
        not isinstance(source, xr.Dataset)
        or "extended" not in source
        or source["extended"].chunks is not None
    ):
        return lines
    part = source["extended"]
    if {"multiple_scattering", "orders", "E_low"} <= set(source.data_vars) and bool(
        (source["orders"] > 0).any()
    ):
        lines += _of_the_phonons(source) + _of_its_high_end(value, source)
    if float(part.max()) > _MUCH_EXTENDED:
        lines.append(
            f"  beware: {100 * float(part.max()):.2g} % of the area was not measured "
            "but stands in for what is below "
            "E_range (below=): u2 and the scale depend on it"
        )
    return lines


def _of_a_filler(value: xr.DataArray) -> list[str]:
    """Tell of one number, far below all others, that many bins hold."""
    known = value.values[np.isfinite(value.values) & (value.values != 0)]
    lowest = float(known.min()) if known.size else 0.0
    same = int((known == lowest).sum())
    if not 0 < lowest < _FAR_BELOW * float(known.max()) or same < _MANY * value.size:
        return []
    return [
        f"  beware: {100 * same / value.size:.2g} % of the bins hold one number, "
        f"{lowest:.8g}, the lowest: a filler of "
        "what was not measured? filler= of engine='sqw', or data.where(...), makes it "
        "NaN"
    ]


def _of_the_scale(value: xr.DataArray) -> list[str]:
    """Tell how data were normalized, what was wrong with that, and where an integral was not measured throughout."""
    said, wrong = value.attrs.get("normalization"), value.attrs.get("beware")
    lines = [f"  normalization: {said}"] if isinstance(said, str) else []
    gain = value.attrs.get("energy_gain")
    if isinstance(gain, str) and "E" in value.coords and float(value["E"].min()) < 0:
        lines.append(
            f"  energy gain: {gain}, where it is a background; .sel(E=slice(0, None)) "
            "is the side of loss"
        )
    lines += [f"  beware: {wrong}"] if isinstance(wrong, str) else []
    if value.attrs["quantity"] == "static_structure_factor" and "units" in value.attrs:
        lines += [f"  beware: {odd}"] if (odd := off_scale(value)) else []
    integral = value.attrs["quantity"] == "static_structure_factor" and str(
        said
    ).startswith("∫")
    lost = int(value.isnull().sum()) if value.chunks is None and integral else 0
    if lost:
        lines.append(
            f"  NaN in {lost} of {value.size} points, where these energies were not "
            "measured throughout: a narrower "
            "E_range= of .bp.integrate_E(…) holds more of them"
        )
    return lines


def _range_to_try(said: str, source: xr.DataArray | xr.Dataset) -> str:
    """Write the E_range that leaves multiple scattering to be fitted."""
    if (
        said != NO_SCATTERING
        or not isinstance(source, xr.Dataset)
        or "highest_phonon" not in source
    ):
        return ""
    low, high, units = (
        float(source.E_low.min()),
        float(source.highest_phonon.max()),
        source.highest_phonon.attrs["units"],
    )
    if not np.isfinite(high):
        return (
            ", and cut the data where background takes over; or give it, "
            "multiple_scattering=0.2"
        )
    further = f"{1.4 * high:.3g}"
    return (
        f", E_range=('{low:.4g} {units}', '{high:.4g} {units}'), and cut the data "
        f"where background takes over, as data.sel(E=slice(None, {further})); or give "
        "it, multiple_scattering=0.2"
    )


def _of_the_phonons(source: xr.Dataset) -> list[str]:
    """Tell what was taken off g(E), and how well u2 is known from it."""
    u2 = source["u2"]
    low, high = (
        f"{float(source.E_low.min()):.4g}",
        f"{float(source.E_high.max()):.4g}{units_of(source.E_low)}",
    )
    said = f"found over {low} to {high}"
    if "u2_std" in source and bool(source.u2_std.notnull().any()):
        number = (
            with_error(float(u2), float(source.u2_std)) if u2.ndim == 0 else _span(u2)
        )
        counting = (
            " (by counting; E_range, below and C move it by more)"
            if u2.ndim == 0
            else ""
        )
        said += f" with u2 {number}{units_of(u2)}{counting}"
    C = source["multiple_scattering"]
    many = f"up to {int(source.orders.max())} phonons at once taken off"
    with_c = (
        f"and multiple scattering, C {_span(C)}"
        if bool((C != 0).any())
        else "but no multiple scattering (C 0)"
    )
    lines = [f"  {said}; {many}, {with_c}"]
    part = source["extended"]
    if bool((part > 0).any()):
        lines.append(
            f"  below {low}{units_of(source.E_low)} a Debye law, E^2, stands in: "
            f"{_span(100 * part)} % of the area; g is NaN there"
        )
    if bool((C < 0).any()):
        lines.append(
            "  beware: C below 0 is no scattering: too much background was taken off, "
            "or E_range ends too high"
        )
    if bool((C > _MUCH_SCATTERING).any()):
        lines.append(
            "  beware: so large a C holds a background: cut the data where it takes "
            "over, or see what "
            "multiple_scattering=0.2 gives"
        )
    return lines


def _of_its_high_end(value: xr.DataArray, source: xr.Dataset) -> list[str]:
    """Tell of a g(E) that rises again to where it ends, as of a background."""
    if (
        value.ndim != 1
        or "highest_phonon" not in source
        or bool(source.highest_phonon.notnull())
    ):
        return []
    g = value[value.notnull().values]
    tenth = g.sizes["E"] // 10
    if tenth < 1:
        return []
    parts = g[g.sizes["E"] % tenth :].values.reshape(-1, tenth).mean(axis=1)
    # A law of E² rises as well: what rises again has fallen before.
    if parts[-1] < _RISES * parts[-2] or parts[:-2].max() < parts[-2]:
        return []
    end = f"{float(source.E_high):.4g}{units_of(source.E_high)}"
    return [
        f"  beware: it rises again to its end, {end}, to "
        f"{100 * float(g[-tenth:].max() / g.max()):.0f} % of its highest"
        ": where phonons end before, what is left there is none and spoils u2 and the "
        "area: "
        f"E_range=('{float(source.E_low):.4g}{units_of(source.E_low)}', …) that ends "
        "at the highest phonon"
    ]


def _span(numbers: xr.DataArray) -> str:
    """Write one number, or from which to which they go."""
    low, high = f"{float(numbers.min()):.3g}", f"{float(numbers.max()):.3g}"
    return low if low == high else f"{low} to {high}"


def _comments(value: xr.DataArray) -> list[str]:
    """Quote what the instrument wrote into the file, as far as a person reads on."""
    said = str(value.attrs.get("comments", "")).splitlines()
    lines = [
        f"  the file says: {text if len(text) <= _WIDE else text[: _WIDE - 1] + '…'}"
        for text in said[:_FEW]
    ]
    return lines + (
        [f"  ... and more in attrs['comments'] ({len(said)} lines)"]
        if len(said) > _FEW
        else []
    )


def _of_the_errors(value: xr.DataArray, source: xr.Dataset) -> list[str]:
    """Tell of bins without an error, of means over a part, and of two sides that were folded though they disagree."""
    lines = []
    std = source.get(f"{value.name}_std")
    # In a simulation it is exact, as where g(r) has no pairs.
    if (
        std is not None
        and value.attrs.get("statistics") != "classical"
        and std.chunks is None
        and value.chunks is None
        and std.dims == value.dims
    ):
        sure = int(((std.values == 0) & np.isfinite(value.values)).sum())
        if sure:
            mend = "rebin first"
            if '"rebin"' in str(value.attrs.get("history")):
                mend = (
                    "wider bins hold more, or leave them out, "
                    f"data.where(data.{value.name}_std > 0)"
                )
            lines.append(
                "  standard deviation 0 in "
                f"{100 * sure / max(int(value.count()), 1):.3g} % of the bins with "
                "values, as for zero counts: means and fits assign them the error of "
                f"one count; {mend}"
            )
    part = source.get("coverage")
    # Points of which nothing was measured hold no number, and are means of nothing.
    measured = None if part is None or part.chunks is not None else part.where(part > 0)
    if measured is not None and float(measured.min()) < _WHOLE:
        low, high = (100 * float(end) for end in (measured.min(), measured.max()))
        lines.append(
            f"  means of {low:.3g} to {high:.3g} % of the interval cut, which is not "
            "measured throughout: not the same "
            "bins along the curve (data.coverage); a narrower interval holds more of "
            "them"
        )
    chi2 = source.get("fold_chi2")
    if (
        chi2 is not None
        and chi2.chunks is None
        and float(chi2.max()) > _MOST_DISAGREEMENT
    ):
        lines.append(
            "  beware: energy gain and loss, folded, disagree (reduced chi2 "
            f"{float(chi2.max()):.2g}): a background, "
            "another temperature, or errors that are too small; "
            ".bp.detailed_balance() before .bp.fold() shows where"
        )
    return lines
