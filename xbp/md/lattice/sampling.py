"""How results follow from modes at random wave vectors, and the errors of that.

Few modes carry many Q: errors are the scatter over wave vectors of the zone, or over
glasses, never over bins of Q.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from xbp.core.errors import CoordinateError, QuantityError, RangeError, shown
from xbp.core.guards import require_kind
from xbp.md.trajectory import Trajectory, read_trajectory

__all__ = [
    "Sampled",
    "at_rest",
    "jackknife",
    "join_modes",
    "read_modes",
    "replicate_weights",
]

#: Part of the highest energy below which modes are at rest: translations of the whole
#: that rounding has given an energy, in single precision √(1e-7) of the highest.
_AT_REST = 1e-3


def at_rest(energy: np.ndarray, highest: float) -> np.ndarray:
    """Return which modes have no energy but for rounding, beside the highest."""
    return np.asarray(np.abs(energy) < _AT_REST * highest)


def read_modes(data: xr.Dataset, *needed: str) -> Trajectory:
    """Return the atoms of modes that have what is needed."""
    missing = {"mode_energy", "stratum", "glass", *needed} - set(data.variables)
    if missing:
        raise QuantityError(
            f"the modes have no {', '.join(sorted(missing))}",
            fix="phi.bp.bloch_modes(Q_max=…, strain=True)",
        )
    if "highest_energy" not in data.attrs or not np.isfinite(data["mode_energy"]).any():
        raise QuantityError("these are no modes from bloch_modes")
    _require_stable(data)
    return read_trajectory(data)


def _require_stable(data: xr.Dataset, *, extended: float = 0.3) -> None:
    """Refuse modes of which more are imaginary than ``attrs["most_imaginary"]``.

    Or of which one has more than `extended` for its participation ratio: not a single
    soft place but the whole glass is unstable.
    """
    energy = data["mode_energy"].values
    below = (energy < 0) & ~at_rest(energy, data.attrs["highest_energy"])
    most = float(data.attrs.get("most_imaginary", 1.0))
    ratio = np.nan
    if "participation_ratio" in data and below.any():
        ratio = float(data["participation_ratio"].values[below].max())
    part = below.sum() / np.isfinite(energy).sum()
    if part > most or ratio > extended:
        raise RangeError(
            f"{100 * part:.2g} % of the modes are imaginary"
            + (f", with participation ratios up to {ratio:.2g}" if ratio > 0 else ""),
            reason="the glass is not at a minimum of its energy",
            fix="relax it further, change step=, or raise most_imaginary=",
        )


def replicate_weights(modes: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return how each k counts, with all and with one k, or one glass, left out.

    Parameters
    ----------
    modes : xarray.Dataset
        From `bloch_modes`, or several of these by `join_modes`.

    Returns
    -------
    weights : numpy.ndarray, shape (1 + n_replicates, n_k)
        The first row is of all. Each glass has equal weight, and in it each part of the
        zone by its volume. With several glasses one is left out in each further row,
        else one k.
    factors : numpy.ndarray, shape (n_replicates,)
        The variance of a result θ is Σ factor (θ_r − ⟨θ⟩)², the mean being over
        replicates of one part of the zone.

    References
    ----------
    B. Efron & C. Stein, Ann. Stat. 9, 586 (1981), doi:10.1214/aos/1176345462.
    """
    stratum, glass, share = (
        np.asarray(modes[name].values) for name in ("stratum", "glass", "stratum_share")
    )
    n = stratum.size

    def weights(kept: np.ndarray) -> np.ndarray:
        found = np.zeros(n)
        for one in np.unique(glass[kept]):
            for part in np.unique(stratum[kept & (glass == one)]):
                some = kept & (glass == one) & (stratum == part)
                found[some] = share[some] / some.sum()
            found[glass == one] /= found[glass == one].sum()
        return np.asarray(found / found.sum())

    parts = glass if np.unique(glass).size > 1 else np.arange(n)
    left_out = [parts != one for one in np.unique(parts)]
    rows = [weights(np.ones(n, dtype=bool))]
    if len(left_out) < 2:
        return np.array(rows), np.zeros(0)
    rows += [weights(kept) for kept in left_out]
    size = len(left_out)
    counts = np.full(size, size)
    if size == n:
        own = np.array([(stratum == part).sum() for part in stratum])
        counts = own if (own > 1).all() else counts
    return np.array(rows), (counts - 1) / counts


class Sampled:
    """Averages over wave vectors of the zone, with errors.

    Attributes
    ----------
    weights : numpy.ndarray, shape (1 + n_replicates, n_k)
        See `replicate_weights`.
    """

    def __init__(self, data: xr.Dataset) -> None:
        self.weights, self._factors = replicate_weights(data)
        # Where its parts are drawn separately, the scatter is that within each.
        apart = np.unique(self._factors).size > 1
        self._part = data["stratum"].values if apart else np.zeros(self._factors.size)

    def std(self, replicates: np.ndarray) -> np.ndarray:
        """Return the standard deviation of a result, NaN of a single k.

        `replicates` are results by the weights but the first, along the first axis.
        """
        if not self._factors.size:
            return np.full(replicates.shape[1:], np.nan)
        variance = np.zeros(replicates.shape[1:])
        for part in np.unique(self._part):
            some = self._part == part
            off = replicates[some] - replicates[some].mean(axis=0)
            variance = variance + np.tensordot(self._factors[some], off**2, axes=1)
        return np.asarray(np.sqrt(variance))

    def relative_std(self, energy: np.ndarray, edges: np.ndarray) -> np.ndarray:
        r"""Return the least relative error of each bin of E, that of its modes.

        .. math:: \sigma_{rel} = \frac{\sqrt{\sum_k w_k^2 n_k}}{\sum_k w_k n_k}

        with n_k modes in the bin: wave vectors of one glass see the same soft places,
        so their scatter may be smaller than that of glasses. NaN without modes.

        Parameters
        ----------
        energy : numpy.ndarray, shape (n_k, n_modes)
            meV.
        edges : numpy.ndarray, shape (n_E + 1,)
            Of the bins, meV.
        """
        counts = np.stack([np.histogram(row, edges)[0] for row in energy])
        weight = self.weights[0]
        with np.errstate(invalid="ignore"):
            return np.asarray(np.sqrt(weight**2 @ counts) / (weight @ counts))

    def mean(
        self, values: np.ndarray, counts: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Average over k; return also the standard deviation and the replicates.

        With `counts`, (k, Q), each k counts at Q as often as it has Q of that shell;
        values are (k, Q, E).
        """
        if counts is None:
            found = np.tensordot(self.weights, values, axes=1)
        else:
            own = self.weights[:, :, None] * counts
            summed = np.einsum("rkq,kqe->rqe", own, values, optimize=True)
            with np.errstate(divide="ignore", invalid="ignore"):
                found = summed / own.sum(axis=1)[..., None]
        return found[0], self.std(found[1:]), found[1:]


def join_modes(*modes: xr.Dataset, same_glass: bool = False) -> xr.Dataset:
    """Put the modes of several glasses, or further wave vectors of one, together.

    Parameters
    ----------
    *modes : xarray.Dataset
        From `bloch_modes`, of boxes with the same numbers of atoms and the same bins.
    same_glass : bool
        They are wave vectors of one glass, drawn with different ``seed=``.

    Returns
    -------
    xarray.Dataset
        As from `bloch_modes`, along k; the coordinate ``glass`` numbers the glasses.
        S(Q) is the mean; positions are those of the first.

    Raises
    ------
    QuantityError, CoordinateError
        If they do not fit together.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> pair = xbp.md.new_trajectory(
    ...     [[[0.0, 0, 0], [2.0, 0, 0]]], time=[0.0], cell=10 * np.eye(3),
    ...     mass=[40, 40], element=["Ar", "Ar"])
    >>> spring = np.kron([[1.0, -1.0], [-1.0, 1.0]], np.eye(3))
    >>> phi = xbp.md.lattice.new_force_constants(spring, pair)
    >>> one, two = (
    ...     phi.bp.bloch_modes(n_wavevectors=1, Q_max=None, seed=s) for s in (1, 2))
    >>> join_modes(one, two, same_glass=True).sizes["k"]
    2
    """
    if not modes:
        raise QuantityError("no modes are given")
    elements = [read_modes(one).elements() for one in modes]
    same_atoms = all(sorted(e) == sorted(elements[0]) for e in elements)
    axes = [{n: one[n].values for n in ("Q", "E") if n in one.coords} for one in modes]
    same = all(
        a.keys() == axes[0].keys() and all(np.array_equal(a[n], axes[0][n]) for n in a)
        for a in axes
    )
    if not same_atoms or not same:
        raise CoordinateError(
            "the modes are of boxes with other atoms, or in other bins",
            fix="bloch_modes with the same Q_max=, dQ=, E_max= and dE=",
        )
    rest = [name for name in modes[0].data_vars if "k" not in modes[0][name].dims]
    parts, first = [], 0
    most = max(one.sizes["mode"] for one in modes)
    for one in modes:
        own = one.drop_vars(rest).pad({"mode": (0, most - one.sizes["mode"])})
        if not same_glass:
            own = own.assign_coords(glass=own["glass"] + first)
            first = int(own["glass"].max()) + 1
        parts.append(own)
    found = xr.concat(
        parts, "k", data_vars="minimal", coords="minimal", compat="override",
        combine_attrs="override",
    )  # fmt: skip
    for name in rest:
        found[name] = modes[0][name]
    if "Sq" in rest and not same_glass:
        found["Sq"] = sum(one["Sq"] for one in modes) / len(modes)
    found.attrs["highest_energy"] = max(one.attrs["highest_energy"] for one in modes)
    return found


def jackknife(
    modes: xr.Dataset, function: Callable[[xr.Dataset], xr.Dataset | xr.DataArray]
) -> xr.Dataset:
    r"""Compute what follows from modes, with errors from the sampling of modes.

    The whole chain is repeated without each k, or without each glass where there are
    several:

    .. math:: \sigma^2 = \frac{n-1}{n} \sum_r (\theta_r - \bar\theta)^2

    so that common modes of different Q, which errors of single bins cannot tell, are
    in the errors of a boson peak, a slope or a correlation.

    Parameters
    ----------
    modes : xarray.Dataset
        From `bloch_modes` or `join_modes`.
    function : callable
        From modes to a Dataset or DataArray, such as ``lambda m:
        m.bp.bloch_vdos().g.bp.boson_peak()``.

    Returns
    -------
    xarray.Dataset
        What `function` returns of all modes, where ``<name>_std`` of every real number
        is the scatter of the replicates; NaN where a replicate has no number, as a fit
        without a maximum.

    Raises
    ------
    QuantityError
        If there is only one k.

    References
    ----------
    B. Efron & C. Stein, Ann. Stat. 9, 586 (1981), doi:10.1214/aos/1176345462.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> pair = xbp.md.new_trajectory(
    ...     [[[0.0, 0, 0], [2.0, 0, 0]]], time=[0.0], cell=10 * np.eye(3),
    ...     mass=[40, 40], element=["Ar", "Ar"])
    >>> spring = np.kron([[1.0, -1.0], [-1.0, 1.0]], np.eye(3))
    >>> phi = xbp.md.lattice.new_force_constants(spring, pair)
    >>> modes = phi.bp.bloch_modes(n_wavevectors=4, Q_max=None)
    >>> cut = jackknife(modes, lambda m: m.bp.bloch_vdos("1 meV").bp.cut_E((12, 15)))
    >>> sorted(cut.data_vars)
    ['g', 'g_std']
    """
    read_modes(modes)
    if not callable(function):
        raise QuantityError(f"function={shown(function)} must be a function of modes")
    sampled = Sampled(modes)
    if len(sampled.weights) == 1:
        raise QuantityError("one k has no scatter", fix="raise n_wavevectors=")
    glass, whole = modes["glass"].values, function(modes)
    parts = glass if np.unique(glass).size > 1 else np.arange(glass.size)
    few = [
        function(modes.isel(k=np.flatnonzero(parts != one))) for one in np.unique(parts)
    ]
    require_kind(
        whole, (xr.Dataset, xr.DataArray), "the answer of function", "a Dataset"
    )
    table = whole.to_dataset() if isinstance(whole, xr.DataArray) else whole.copy()
    for name, variable in table.data_vars.items():
        if variable.dtype.kind != "f" or str(name).endswith("_std"):
            continue
        several = [
            np.asarray((one if isinstance(one, xr.DataArray) else one[name]).values)
            for one in few
        ]
        std = sampled.std(np.stack(several))
        table[f"{name}_std"] = (variable.dims, std, {"units": variable.attrs["units"]})
    return table
