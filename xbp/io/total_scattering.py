"""Total scattering in text.

Gudrun's interference function (``.mint01``), NOMAD's S(Q), McStas' ``.qSq``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint

from xbp.core.construct import new_dataset
from xbp.core.errors import QuantityError, RangeError, XbpError
from xbp.core.schema import QUANTITIES
from xbp.core.signal import extend_history
from xbp.core.units import convert_factor, magnitude, parse_unit
from xbp.io.arguments import can_open, to_path, value_units, without
from xbp.io.measured import measured
from xbp.io.normalization import require_normalization
from xbp.io.text import TEXT_ERRORS, head, read_lines, to_numbers, unreadable
from xbp.io.titles import column_titles, require_quantity_of_titles, third_is_an_error
from xbp.reduction.composition import mean_scattering_lengths

__all__ = ["TotalScatteringBackend", "decline", "open_total_scattering"]

# Gudrun's first comment is the name of the file it wrote; NOMAD's files name the
# column.
_GUDRUN = re.compile(r"#\s*\S+\.(?:mint|mdor)\d\d\s*$", re.IGNORECASE)
_NOMAD = re.compile(r"#\s*L?\s*Q\W.*(?<![a-z\[(])S\(Q\)(?!\s*-\s*1)", re.IGNORECASE)
# McStas states which column is which, counting from 1.
_MCSTAS = re.compile(r"#\s*column_(q|Sq)\s+(\d)\b", re.IGNORECASE)
#: S(Q) below 0 by more than so many standard deviations, and than so much, is no noise:
#: F(Q) is hardly ever on a better scale, and its standard deviations tell of the counts
#: alone.
_SIGMAS, _SLACK = 5.0, 0.05
_N_ROWS = re.compile(r"#\s*\d+\s+(\d+)\s*$")


def decline(path: Path) -> str | None:
    """Return why a file is not total scattering from Gudrun, NOMAD or McStas, or None if it is."""
    lines = head(path)
    if _is_gudrun(lines) or _is_nomad(lines) or _mcstas_columns(lines) is not None:
        return None
    return "no comment names Gudrun's .mint01 or a column S(Q)"


def _is_gudrun(lines: list[str]) -> bool:
    return bool(lines and _GUDRUN.match(lines[0]))


def _is_nomad(lines: list[str]) -> bool:
    return any(_NOMAD.match(line) for line in lines if line.startswith("#"))


def _mcstas_columns(lines: list[str]) -> tuple[int, int] | None:
    """Return which columns, counted from 0, are Q and S(Q), as McStas writes it above them."""
    found = {
        row[1].lower(): int(row[2]) - 1
        for row in map(_MCSTAS.match, lines)
        if row is not None
    }
    return (
        (found["q"], found["sq"])
        if set(found) == {"q", "sq"} and min(found.values()) >= 0
        else None
    )


def open_total_scattering(
    path: str | os.PathLike[str],
    *,
    units: str = "barn",
    b_mean_squared: Any = None,
    composition: str | Mapping[str, float] | None = None,
    T: Any = None,
    lowest: float | None = -0.05,
    tail: tuple[float, float] | None = (0.5, 2.0),
) -> xr.Dataset:
    r"""Read the total scattering of a liquid or glass.

    .. math:: S(Q) = 1 + \frac{F(Q)}{\langle b\rangle^2}, \quad
              S(Q) \ge 1 - \frac{\langle b^2\rangle}{\langle b\rangle^2}

    is Faber and Ziman's S(Q), for F(Q) without self scattering, as Gudrun writes it.
    The bound is 0 where all scattering lengths are alike.

    Parameters
    ----------
    path : path-like
        Comments, then Q (1/angstrom), value and, in a third column, its standard
        deviation.
    units : str
        Of Gudrun's F(Q), which the file does not say: "barn" (per steradian and atom)
        where Gudrun normalised to nothing, "1" where it divided by ⟨b⟩².
    b_mean_squared : scalar with units, optional
        ⟨b⟩² of the sample, in `units` if it is a bare number. With it Gudrun's F(Q) → 0
        becomes the Faber-Ziman S(Q) → 1.
    composition : str or mapping of str to float, optional
        ``"SiO2"`` or ``{"Si": 1, "O": 2}``: ⟨b⟩² follows from the tables, instead of
        `b_mean_squared`.
    T : scalar with units, optional
        Temperature of the sample; a bare number is in K.
    lowest : float, optional
        An S(Q) of the file that falls below it by more than five standard deviations is
        refused: it is S(Q) - 1, F(Q) or the like. Lower it where scattering lengths
        have both signs; None: no limit.
    tail : pair of float, optional
        An S(Q) that is negative somewhere and whose mean over the upper third of Q is
        outside these bounds is S(Q) - 1 or the like, and refused, unless `lowest` is
        below -0.05. None: no limit.

    Returns
    -------
    xarray.Dataset
        ``FQ(Q)``, the interference function that tends to 0, of Gudrun; ``Sq(Q)`` of
        NOMAD and McStas, or where `b_mean_squared` or `composition` is given; with its
        standard deviation. Rows of zeros at both ends, with which Gudrun fills its
        grid, are NaN, and so are infinities, sentinels and values with negative errors.

    Raises
    ------
    FileFormatError
        If the file is truncated or of another kind.
    UnitsError
        If `units` are of no F(Q).
    RangeError
        If ⟨b⟩² is not positive, or given for an S(Q); if S(Q) falls below its bound by
        more than five standard deviations and 0.05, for then ⟨b⟩² is too small for this
        F(Q). One that is too large makes S(Q) flat, and cannot be told.
    QuantityError
        If both `b_mean_squared` and `composition` are given, or the composition cannot
        be read.

    References
    ----------
    V. F. Sears, Neutron News 3(3), 26 (1992): scattering lengths.
    D. A. Keen, J. Appl. Cryst. 34, 172 (2001), doi:10.1107/S0021889800019993: F(Q), its
    Eq. 8, and the Faber-Ziman normalisation.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "glass.txt")
    ...     _ = path.write_text(chr(10).join(["# Q S(Q) error", "1.0 0.5 0.1", "2.0 1.5 0.1"]) + chr(10))
    ...     Sq = open_total_scattering(path).Sq
    >>> Sq.values, Sq.Q.attrs["units"]
    (array([0.5, 1.5]), '1/angstrom')
    """
    where = to_path(path)
    try:
        return _read(where, units, b_mean_squared, composition, T, lowest, tail)
    except XbpError:
        raise
    except TEXT_ERRORS as error:
        raise unreadable(where, "total scattering", error) from error


def _read(
    path: Path,
    given: str,
    b_mean_squared: Any,
    composition: str | Mapping[str, float] | None,
    T: Any,
    lowest: float | None,
    tail: tuple[float, float] | None,
) -> xr.Dataset:
    units = value_units(given, "interference_function", name="units")
    lines = [line.strip() for line in read_lines(path)]
    gudrun = _is_gudrun(lines)
    columns = _mcstas_columns(lines)
    if not gudrun and columns is None and not _is_nomad(lines):
        raise ValueError("no comment names Gudrun's .mint01 or a column S(Q)")
    rows = [line for line in lines if line and not line.startswith("#")]
    if (
        gudrun
        and len(lines) > 2
        and (said := _N_ROWS.match(lines[2]))
        and int(said[1]) != len(rows)
    ):
        raise ValueError(f"it has {len(rows)} rows where {said[1]} are announced")
    # Some programs begin with the number of rows.
    if rows and rows[0] == str(len(rows) - 1):
        rows = rows[1:]
    n_columns = len(rows[0].split()) if rows else 0
    if not gudrun and columns is None:
        first = next(
            i for i, line in enumerate(lines) if line and not line.startswith("#")
        )
        titles = column_titles(lines, first, n_columns)
        require_quantity_of_titles(
            path.name, lines[:first], titles, "static_structure_factor", "Q"
        )
        if n_columns == 3 and not third_is_an_error(titles):
            raise ValueError(
                f"its third column has the title {(titles or [''])[-1]!r}, not that "
                "of an error"
            )
    if n_columns not in (2, 3) or any(len(row.split()) != n_columns for row in rows):
        raise ValueError("its rows do not all have two or all have three columns")
    table = to_numbers(rows, "the table").reshape(-1, n_columns)
    if columns is not None:
        if max(columns) >= n_columns:
            raise ValueError(
                f"its header refers to column {max(columns) + 1}, but there are "
                f"{n_columns}"
            )
        table, n_columns = table[:, columns], 2
    Q, values = table[:, 0], table[:, 1].copy()
    std = table[:, 2].copy() if n_columns == 3 else None
    counted = (values != 0) if std is None else (values != 0) | (std != 0)
    if not counted.any():
        raise ValueError("all of its values are zero")
    first, last = np.flatnonzero(counted)[[0, -1]]
    row = np.arange(values.size)
    values, std = measured(values, std, mask=(row < first) | (row > last))
    quantity = "interference_function" if gudrun else "static_structure_factor"
    attrs = {"source": f"total scattering file {path.name}"}
    require_normalization(path.name, quantity, values, std, lowest=lowest, tail=tail)
    if gudrun and len(lines) > 1 and lines[1].strip("# "):
        attrs["title"] = lines[1].strip("# ")
    how = {"source": attrs["source"]}
    if b_mean_squared is not None or composition is not None:
        if not gudrun:
            raise RangeError(
                f"b_mean_squared={b_mean_squared!r}, composition={composition!r} do "
                f"not fit {path.name}",
                reason="the file holds S(Q), which is normalised",
                fix="leave them out",
            )
        level, square = _levels(b_mean_squared, composition, units)
        values, std = 1 + values / level, None if std is None else std / level
        _require_bound(values, std, level, square, units, composition)
        quantity = "static_structure_factor"
        how["normalization"] = f"Faber-Ziman, 1 + F(Q)/({level:.6g} {units})"
        used = {
            "units": units,
            "b_mean_squared": f"{level:.10g} {units}",
            "composition": composition,
        }
        how["history"] = extend_history(None, "open_total_scattering", used)
        if composition is not None:
            how["composition"] = (
                composition if isinstance(composition, str) else _formula(composition)
            )
    ds = new_dataset(
        quantity,
        values,
        std=std,
        units=units if quantity == "interference_function" else "1",
        coords={"Q": (Q, "1/angstrom")},
        temperature=T,
        attrs=attrs | how,
    )
    # A DataArray goes on without the attributes of its Dataset.
    ds[QUANTITIES[quantity].variable].attrs.update(how)
    return ds


def _formula(composition: Mapping[str, float]) -> str:
    return " ".join(f"{symbol}{count:g}" for symbol, count in composition.items())


def _levels(
    b_mean_squared: Any, composition: str | Mapping[str, float] | None, units: str
) -> tuple[float, float | None]:
    """Return ⟨b⟩², and ⟨b²⟩ where it is known, in the units of F(Q)."""
    if b_mean_squared is not None and composition is not None:
        raise QuantityError(
            f"b_mean_squared={b_mean_squared!r} and composition={composition!r} are "
            "both given",
            reason="the one follows from the other",
            fix="leave one of them out",
        )
    if composition is None:
        level = magnitude(b_mean_squared, units, name="b_mean_squared")
        if not level > 0:
            raise RangeError(
                f"b_mean_squared={b_mean_squared!r}",
                reason="⟨b⟩² is positive",
                fix="composition='SiO2' finds it in the tables, or give it, "
                "b_mean_squared='0.2759 barn' for SiO2",
            )
        return level, None
    if parse_unit(units).dimensionless:
        raise QuantityError(
            f"composition={composition!r} with units={units!r}",
            reason="an F(Q) without units has been divided by ⟨b⟩² already",
            fix="b_mean_squared=1 makes S(Q) = 1 + F(Q) of it; units='barn' if it has "
            "not been divided",
        )
    mean, square = mean_scattering_lengths(composition)
    factor = convert_factor("fm^2", units, name="⟨b⟩²")
    if not mean > 0:
        raise QuantityError(
            f"⟨b⟩² of composition={composition!r} is 0",
            reason="its scattering lengths cancel, so that F(Q) has no Faber-Ziman "
            "S(Q)",
            fix="keep F(Q): leave composition= out",
        )
    return mean * factor, square * factor


def _require_bound(
    values: np.ndarray,
    std: np.ndarray | None,
    level: float,
    square: float | None,
    units: str,
    composition: str | Mapping[str, float] | None,
) -> None:
    """Refuse an S(Q) that no scattering can have.

    F(Q) + ⟨b²⟩, which is an intensity, is not negative.
    """
    bound = 0.0 if square is None else 1 - square / level
    below = bound - values - (0.0 if std is None else _SIGMAS * std)
    if not np.nanmax(below) > _SLACK:
        return
    # Of four digits, rounded up: what is told must do.
    exact = (1 - float(np.nanmin(values))) * level
    digit = 10.0 ** (np.floor(np.log10(exact)) - 3)
    needed = float(np.ceil(exact / digit) * digit)
    if square is None:
        raise RangeError(
            f"b_mean_squared={level:.6g} {units} is too small for this F(Q), or its "
            f"units={units!r} are wrong: S(Q) "
            f"falls to {np.nanmin(values):.3g}",
            reason="S(Q) is not negative where all scattering lengths are alike: "
            f"⟨b⟩² is at least {needed:g} {units}",
            fix="composition='SiO2' finds ⟨b⟩² in the tables, and how far S(Q) may "
            "fall below 0 where scattering "
            "lengths differ; units='1' for an F(Q) that was divided by ⟨b⟩²",
        )
    raise RangeError(
        f"⟨b⟩²={level:.6g} {units} of composition={composition!r} is too small for "
        f"this F(Q), or its units={units!r} "
        f"are wrong: S(Q) falls to {np.nanmin(values):.3g}",
        reason=f"it is not below 1 - ⟨b²⟩/⟨b⟩² = {bound:.3g}: ⟨b²⟩ is {square:.6g} "
        f"and at least {needed:g} {units}",
        fix="give the composition of the sample, isotopes by {'62-Ni': 66, 'B': 34}; "
        "units='1' with b_mean_squared=1 "
        "for an F(Q) that was divided by ⟨b⟩²",
    )


class TotalScatteringBackend(BackendEntrypoint):
    """``xarray.open_dataset(path, engine="total_scattering")``."""

    description = "Total scattering in text: Gudrun's mint01 and NOMAD's S(Q)"
    url = "https://www.isis.stfc.ac.uk/Pages/Gudrun.aspx"
    open_dataset_parameters = (
        "filename_or_obj",
        "drop_variables",
        "units",
        "b_mean_squared",
        "composition",
        "T",
        "lowest",
        "tail",
    )

    def open_dataset(  # type: ignore[override]  # a backend names its own keywords
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        units: str = "barn",
        b_mean_squared: Any = None,
        composition: str | Mapping[str, float] | None = None,
        T: Any = None,
        lowest: float | None = -0.05,
        tail: tuple[float, float] | None = (0.5, 2.0),
    ) -> xr.Dataset:
        """Open a file; keywords as for `open_total_scattering`."""
        ds = open_total_scattering(
            filename_or_obj,
            units=units,
            b_mean_squared=b_mean_squared,
            composition=composition,
            T=T,
            lowest=lowest,
            tail=tail,
        )
        return without(ds, drop_variables)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Tell by the comments, so that ``xarray.open_dataset(path)`` needs no ``engine=``."""
        return can_open(filename_or_obj, decline)
