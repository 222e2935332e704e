"""Whether B(Q,E) is a function of E times the static structure factor."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy
import xarray as xr

from xbp.analysis.boson_peak import boson_peak
from xbp.analysis.pair import SIGNALS, Pair
from xbp.analysis.wing import wing_of_map
from xbp.core.common_errors import carries_common_errors
from xbp.core.data import is_lazy, require_dims
from xbp.core.errors import QuantityError
from xbp.core.guards import choose, require_fraction, require_number
from xbp.core.operation import operation
from xbp.core.signal import Signal, label_std, map_over, read, result_table
from xbp.core.status import Status, diagnosed, diagnostics
from xbp.fitting.shapes import SHAPES, Method

__all__ = ["fit_bqe"]

ProfileShape = Literal["free", Method]


#: Signals that may be a function of E times S(Q) and have a boson peak.
_MAPS = tuple(kind for kind in SIGNALS if kind != "dynamic_structure_factor")


@operation(
    takes=_MAPS,
    gives="fit_bqe",
    over="QE",
    step=32,
    suggested="reduced_dos",
)
@carries_common_errors()
def fit_bqe(
    data: xr.DataArray | xr.Dataset,
    sq: xr.DataArray | xr.Dataset,
    shape: ProfileShape = "lognormal",
    *,
    Q_range: Any = None,
    E_range: Any = None,
    significance: float = 0.01,
    elastic_widths: float = 2.0,
) -> xr.Dataset:
    r"""Fit a function of energy times S(Q) to all of B(Q,E): the paper's Eq. 2.

    .. math:: \chi^2 = \sum_{Q,E} \frac{[B(Q,E) - A\,f(E)\,S(Q)]^2} {\sigma_B^2 +
              A^2f^2\sigma_S^2}

    For a free f the minimum at each energy is A·f(E) = Σ_Q B S/σ² / Σ_Q S²/σ², the
    ``profile``. A named shape is then fitted to the profile, which is equivalent to a
    fit to the whole map. The residual shows how well Eq. 2 holds. A correlation with
    S(Q) does not, because r does not change if a part independent of Q is added to B.

    One-phonon scattering from long sound waves follows Q² S(Q) too [1]_ [2]_. That Eq.
    2 holds at low energies is therefore no sign of a boson peak.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        B(Q,E) over Q, E and any leftover dimensions.
    sq : xarray.DataArray or xarray.Dataset
        S(Q), as for `scale_to_sq`; if the data contain it, ``data.Sq``.
    shape : {"free", "lognormal", "quadratic", "gaussian"}
        Shape to fit to the profile, as in `boson_peak`; ``free``: none.
    Q_range : pair of scalars with units, optional
        Momentum transfers to use; by default all where B and S are known. Small Q,
        where B shows the longitudinal phonon, should be left out.
    E_range : pair of scalars with units, optional
        Energies to which the shape is fitted, as for `boson_peak`.
    significance : float
        Eq. 2 does not hold at an energy where a chi-squared as large as found has at
        most this probability.
    elastic_widths : float
        As for `correlation_map`, of ``E_holds_low`` and of the fitted maximum.

    Returns
    -------
    xarray.Dataset
        ``profile`` A·f(E) with ``profile_std`` (units of B); ``ratio`` B/(A·f·S) over E
        and Q with ``ratio_std``; ``rms_E``, the rms over Q of ``ratio`` − 1, and
        ``noise_E``, the rms that the standard deviations alone would give; ``rms_Q``,
        the rms over E; ``chi2_reduced_E`` and ``holds`` (1 or 0; −1 without standard
        deviations) at each energy; ``E_holds_low`` and ``E_holds_high``, the range
        about the maximum of the profile where Eq. 2 holds at every energy (NaN if it
        does not hold at the maximum). With a shape, also the columns of `boson_peak`
        for the profile, and ``residual``, (B − A·f·S)/(A·f·S) with the fitted f, NaN
        unless ``status`` is "ok".

    Raises
    ------
    QuantityError, RangeError
        As for `scale_to_sq` and `boson_peak`.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Eq. 2.

    .. [1] A. Meyer, J. Wuttke et al., Phys. Rev. B 53, 12107 (1996),
       doi:10.1103/PhysRevB.53.12107.
    .. [2] U. Buchenau, arXiv:1912.01929 (2019).

    Examples
    --------
    >>> import xbp
    >>> glass = xbp.tutorial.open_dataset("zr46cu46al8")
    >>> fit = glass.bp.to_bqe().bp.fit_bqe(glass.Sq, "free", Q_range=(2.1, 8.5))
    >>> [round(float(fit.rms_E.sel(E=E, method="nearest")), 2) for E in (2, 10)]
    [0.16, 0.76]
    """
    choose(shape, ProfileShape, "shape")
    significance = require_fraction(significance, "significance")
    widths = require_number(elastic_widths, "elastic_widths", least=0)
    read(data, *_MAPS)
    pair = Pair(data, sq, Q_range, 3)
    signal, value = pair.signal, pair.signal.value
    require_dims(
        value, "E", "fit_bqe", fix="pass B(Q,E); for one cut, .bp.scale_to_sq(sq)"
    )
    opposite = (pair.inside(value) * pair.arrays[1]).sum() < 0
    if not is_lazy(value) and bool(opposite):
        raise QuantityError(
            f"'{value.name}' and S(Q) have opposite signs",
            fix="pass S(Q), which is positive and tends to 1",
        )
    known = pair.std is not None or pair.curve_std is not None
    E_units, E = str(value["E"].attrs["units"]), value["E"].values.astype(float)
    curves, ratio, ratio_std, rms_Q, ends = map_over(
        _fit_map, *pair.arrays, *pair.parts, dims=("E", "Q"),
        gives=[["_number", "E"], ["E", "Q"], ["E", "Q"], ["Q"], ["_end"]],
        sizes={"_number": 6, "_end": 2}, used=pair.used, known=known, E=E,
        significance=significance,
    )  # fmt: skip
    names = ("profile", "profile_std", "rms", "noise", "chi2", "holds")
    found = {name: curves.isel(_number=i) for i, name in enumerate(names)}
    profile_std = pair.with_common(found["profile_std"], found["profile"])
    found["profile_std"] = profile_std
    variables: dict[str, tuple[Any, str, str]] = {
        "profile": (found["profile"], signal.units, "A·f(E), the factor of S(Q)"),
        "profile_std": (profile_std, "", ""),
        "ratio": (ratio, "1", "B/(A·f·S)"),
        "rms_E": (found["rms"], "1", "rms over Q of B/(A·f·S) − 1"),
        "rms_Q": (rms_Q, "1", "rms over E of B/(A·f·S) − 1"),
        "holds": (found["holds"], "", "whether Eq. 2 holds within errors"),
        "E_holds_low": (ends[..., 0], E_units, "lowest energy where Eq. 2 holds"),
        "E_holds_high": (ends[..., 1], E_units, "highest energy where Eq. 2 holds"),
    }
    if known:
        variables |= {
            "ratio_std": (ratio_std, "", ""),
            "noise_E": (found["noise"], "1", "rms_E expected from the errors alone"),
            "chi2_reduced_E": (found["chi2"], "1", "reduced chi-squared over Q"),
        }
    doubts = dict(pair.doubts)
    if shape != "free":
        peak = _peak(signal, found, shape, E_range, known)
        doubts |= diagnosed(doubts, *diagnostics(peak))
        for name, column in peak.data_vars.items():
            own, text = (str(column.attrs.get(k, "")) for k in ("units", "long_name"))
            variables[str(name)] = (column.variable, own, text)
        shaped = map_over(
            _shape, *(peak[name].variable for name in SHAPES[shape].parameters),
            dims="E", gives=[["E"]], sizes={"E": E.size}, E=E, method=shape,
        )  # fmt: skip
        scaled = (shaped * pair.arrays[1]).transpose(*value.dims)
        scaled = scaled.where(peak["status"].variable == Status.OK)
        off = pair.inside(value) - scaled
        text = "(B − A·f·S)/(A·f·S) with the fitted shape"
        variables["residual"] = (off / scaled, "1", text)
    found_at = {"Eq. 2 holds from": ends[..., 0]}
    if shape != "free":
        found_at["the maximum of the profile is at"] = peak["energy"].variable
    for what, energy in found_at.items():
        if not energy.ndim and not is_lazy(energy):
            wing = wing_of_map(signal, pair.used, float(energy), widths, what)
            doubts |= diagnosed(doubts, *wing)
    answer: xr.Dataset = result_table(
        signal, variables, quantity="fit_bqe", operation="fit_bqe",
        arguments={
            "shape": shape, "Q_range": Q_range, "E_range": E_range,
            "significance": significance,
        },
        attrs={"signal": signal.quantity.name, "shape": shape, **doubts},
        coords=pair.coords,
    )  # fmt: skip
    return answer


@np.errstate(invalid="ignore", divide="ignore")
def _fit_map(
    B: np.ndarray,
    S: np.ndarray,
    B_std: np.ndarray,
    S_std: np.ndarray,
    B_part: np.ndarray,
    S_part: np.ndarray,
    *,
    used: np.ndarray,
    known: bool,
    E: np.ndarray,
    significance: float,
) -> tuple[np.ndarray, ...]:
    """Fit maps (…, E, Q): six curves over E, the ratio, its std, rms over E, the range.

    The curves are the profile, its std, rms, noise, χ², and whether Eq. 2 holds.
    """
    both = np.isfinite(B) & np.isfinite(S) & used & (np.abs(S) > 0)
    own, curve = (np.nan_to_num(np.broadcast_to(a, both.shape)) for a in (B_std, S_std))
    B, S = np.where(both, B, 0.0), np.where(both, S, 0.0)
    weight = both.astype(float)
    profile = _ratio((weight * B * S).sum(-1), (weight * S**2).sum(-1))
    variance = apart = np.ones_like(B)
    # The error of S is multiplied by the profile, which two rounds determine.
    for _ in range(3 if known else 0):
        of_S = (profile[..., None] * curve) ** 2
        variance = own**2 / B_part + of_S / S_part
        # What all Q have in common is in the profile, not in the ratio.
        apart = own**2 / np.maximum(B_part, 1) + of_S / np.maximum(S_part, 1)
        weight = np.where(both & (variance > 0), 1 / variance, 0.0)
        profile = _ratio((weight * B * S).sum(-1), (weight * S**2).sum(-1))
    n = (weight > 0).sum(-1)
    model = profile[..., None] * S
    both &= model != 0
    ratio = np.where(both, B / model, np.nan)
    rms = np.sqrt(_ratio(np.where(both, (ratio - 1) ** 2, 0).sum(-1), both.sum(-1)))
    chi2 = _ratio((weight * (B - model) ** 2).sum(-1), n - 1)
    std = np.sqrt(_ratio(1.0, (weight * S**2).sum(-1)))
    ratio_std = np.where(both, np.sqrt(apart) / np.abs(model), np.nan)
    noise = np.sqrt(_ratio(np.where(both, ratio_std**2, 0).sum(-1), both.sum(-1)))
    holds = np.full(profile.shape, -1.0)
    if known:
        likely = (
            scipy.stats.chi2.sf(chi2 * (n - 1), np.maximum(n - 1, 1)) > significance
        )
        holds = np.where(n > 2, likely, -1.0)
    else:
        std, noise = std * np.sqrt(chi2), np.full_like(noise, np.nan)
        ratio_std = np.full_like(ratio_std, np.nan)
    profile = np.where(n > 2, profile, np.nan)
    rms_Q = np.sqrt(_ratio(np.where(both, (ratio - 1) ** 2, 0).sum(-2), both.sum(-2)))
    ends = _range(holds, profile, E)
    curves = np.stack([profile, std, rms, noise, chi2, holds], axis=-2)
    return curves, ratio, ratio_std, rms_Q, ends


def _ratio(above: Any, below: np.ndarray) -> np.ndarray:
    """Divide; NaN where the denominator is not positive."""
    return np.asarray(
        np.where(below > 0, above / np.where(below > 0, below, 1), np.nan)
    )


def _range(holds: np.ndarray, profile: np.ndarray, E: np.ndarray) -> np.ndarray:
    """Return the range of E about the maximum of the profile where Eq. 2 holds."""
    ends = np.full((*holds.shape[:-1], 2), np.nan)
    for index in np.ndindex(holds.shape[:-1]):
        one = np.where(np.isfinite(profile[index]) & (E > 0), profile[index], -np.inf)
        top = int(np.argmax(one))
        if not np.isfinite(one[top]) or holds[index][top] != 1:
            continue
        fails = np.flatnonzero(holds[index] != 1)
        first = fails[fails < top].max(initial=-1) + 1
        last = fails[fails > top].min(initial=E.size) - 1
        ends[index] = E[first], E[last]
    return ends


def _peak(
    signal: Signal,
    found: dict[str, xr.Variable],
    method: Method,
    E_range: Any,
    known: bool,
) -> xr.Dataset:
    """Fit a shape to the profile, taken as a B(E)."""
    name = str(signal.value.name)
    kept = {
        key: one
        for key, one in signal.value.coords.variables.items()
        if "Q" not in one.dims and not str(key).startswith("Q")
    }
    labels = {k: v for k, v in signal.value.attrs.items() if k != "ancillary_variables"}
    profile = found["profile"]
    curve = xr.Dataset({name: (profile.dims, profile.data, labels)}, kept)
    if known:
        curve[f"{name}_std"] = (profile.dims, found["profile_std"].data)
        label_std(curve, name)
    return boson_peak(curve, method, E_range)


def _shape(*numbers: np.ndarray, E: np.ndarray, method: Method) -> np.ndarray:
    """Return the curves of fitted peaks (…) over E."""
    columns = [np.asarray(one)[..., None] for one in numbers]
    shape = SHAPES[method]
    return shape.curve(E, dict(zip(shape.parameters, columns, strict=True)))
