"""How results follow from modes at random wave vectors, and the errors of that.

A few modes give the scattering at many Q, so errors are the scatter between wave
vectors k, or between glasses, never between bins of Q.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import SOURCE
from xbp.core.errors import CoordinateError, QuantityError, RangeError, shown
from xbp.core.guards import require_kind
from xbp.core.numbers import percent
from xbp.core.status import Diagnostic
from xbp.md.trajectory import Trajectory, read_trajectory

__all__ = [
    "Sampled",
    "at_rest",
    "imaginary_modes",
    "jackknife",
    "join_modes",
    "read_modes",
    "replicate_weights",
    "require_stable",
    "squared_amplitudes",
]

_RELAX = "relax the glass further, or change step="
#: Modes below this fraction of the highest energy are translations of the whole box,
#: which have an energy only from rounding: in single precision √(1e-7) of the highest.
_AT_REST = 1e-3


def at_rest(energy: np.ndarray, highest: float) -> np.ndarray:
    """Return which modes have no energy, apart from rounding."""
    return np.asarray(np.abs(energy) < _AT_REST * highest)


def squared_amplitudes(
    energy: np.ndarray, highest: float, T: float, statistics: str
) -> np.ndarray:
    r"""Return the mean squared amplitude of each mode, Å² u; 0 of those at rest.

    .. math:: \frac{\hbar^2}{2E_s}\coth\frac{E_s}{2k_BT}, \quad \text{classical: }
              \frac{\hbar^2k_BT}{E_s^2}

    Parameters
    ----------
    energy : numpy.ndarray
        meV; imaginary modes, which are negative, have 0 too.
    highest : float
        Highest energy of all modes, meV.
    T : float
        K.
    statistics : {"quantum", "classical"}
    """
    moving = (energy > 0) & ~at_rest(energy, highest)
    E = np.where(moving, energy, 1.0)
    kT = constants.BOLTZMANN_MEV * T
    factor = 2 * kT / E**2 if statistics == "classical" else 1 / np.tanh(E / 2 / kT) / E
    return np.where(moving, constants.HBAR2_OVER_2U * factor, 0.0)


def read_modes(data: xr.Dataset, *needed: str) -> Trajectory:
    """Return the atoms of modes; refuse modes that lack a variable `needed`."""
    require_kind(data, xr.Dataset, "modes", "a Dataset from bloch_modes")
    missing = {"mode_energy", "stratum", "glass", *needed} - set(data.variables)
    if missing:
        strain = "field_strength" in missing
        raise QuantityError(
            f"the modes have no {', '.join(sorted(missing))}",
            reason="they were computed without strain=True" if strain else "",
            fix=f"phi.bp.bloch_modes(Q_max=…{', strain=True' if strain else ''})",
        )
    if "highest_energy" not in data.attrs or not np.isfinite(data["mode_energy"]).any():
        raise QuantityError("the data have no modes from bloch_modes")
    energy, ratio = data["mode_energy"].values, np.nan
    below = _below(energy, data.attrs["highest_energy"])
    if "participation_ratio" in data and below.any():
        ratio = float(data["participation_ratio"].values[below].max())
    require_stable(
        energy,
        data.attrs["highest_energy"],
        ratio,
        most=float(data.attrs.get("most_imaginary", 1.0)),
        fix="relax the glass further, change step=, or raise most_imaginary=",
    )
    return read_trajectory(data)


def _below(energy: np.ndarray, highest: float) -> np.ndarray:
    """Return which modes are imaginary."""
    return np.asarray((energy < 0) & ~at_rest(energy, highest))


def require_stable(
    energy: np.ndarray,
    highest: float,
    ratio: float,
    *,
    most: float = 0.001,
    extended: float = 0.3,
    fix: str = _RELAX,
) -> None:
    """Refuse modes if more than the part `most` of them is imaginary.

    Also refuse them if `ratio`, the largest participation ratio of imaginary modes,
    exceeds `extended`: then the whole glass is unstable, not a single soft spot.
    """
    part = _below(energy, highest).sum() / np.isfinite(energy).sum()
    if part > most or ratio > extended:
        raise RangeError(
            f"{percent(part)} of the modes are imaginary"
            + (f", with participation ratios up to {ratio:.2g}" if ratio > 0 else ""),
            reason="the glass is not at a minimum of its energy",
            fix=fix,
        )


def imaginary_modes(energy: np.ndarray, highest: float) -> Iterator[Diagnostic]:
    """Give the diagnostic of imaginary modes (n_k, n_modes)."""
    below = _below(energy, highest)
    if below.any():
        per_k = below.sum(axis=1)
        text = (
            f"{below.sum()} of {np.isfinite(energy).sum()} modes are imaginary, at "
            f"most {per_k.max()} at one k, the lowest at {np.nanmin(energy):.3g} meV; "
            "they are left out"
        )
        yield Diagnostic("imaginary_modes", "warning", text, _RELAX)


def replicate_weights(
    modes: xr.Dataset,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the weight of each k, with all k and with one k, or glass, left out.

    Parameters
    ----------
    modes : xarray.Dataset
        From `bloch_modes` or `join_modes`.

    Returns
    -------
    weights : numpy.ndarray, shape (1 + n_replicates, n_k)
        The first row is for all k. All glasses have equal weight; within a glass, each
        part of the zone is weighted by its volume. In each further row one glass is
        left out, or one k if there is only one glass.
    factors : numpy.ndarray, shape (n_replicates,)
        The variance of a result θ is Σ factor (θ_r − ⟨θ⟩)².
    groups : numpy.ndarray, shape (n_replicates,)
        The mean ⟨θ⟩ is over replicates with the same number here: those of one part of
        the zone, where the parts are sampled separately.

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
        return np.array(rows), np.zeros(0), np.zeros(0)
    rows += [weights(kept) for kept in left_out]
    size = len(left_out)
    counts, groups = np.full(size, size), np.zeros(size)
    if size == n:
        own = np.array([(stratum == part).sum() for part in stratum])
        if (own > 1).all():
            counts, groups = own, stratum
    return np.array(rows), (counts - 1) / counts, groups


class Sampled:
    """Averages over wave vectors of the zone, with errors.

    Attributes
    ----------
    weights : numpy.ndarray, shape (1 + n_replicates, n_k)
        See `replicate_weights`.
    """

    def __init__(self, data: xr.Dataset) -> None:
        self.weights, self._factors, self._groups = replicate_weights(data)

    def std(self, replicates: np.ndarray) -> np.ndarray:
        """Return the standard deviation of a result; NaN for a single k.

        `replicates` are the results from all weights but the first, along the first
        axis.
        """
        if not self._factors.size:
            return np.full(replicates.shape[1:], np.nan)
        variance = np.zeros(replicates.shape[1:])
        for group in np.unique(self._groups):
            some = self._groups == group
            off = replicates[some] - replicates[some].mean(axis=0)
            variance = variance + np.tensordot(self._factors[some], off**2, axes=1)
        return np.asarray(np.sqrt(variance))

    def relative_std(self, energy: np.ndarray, edges: np.ndarray) -> np.ndarray:
        r"""Return the counting error of the modes in each bin of E, relative.

        .. math:: \sigma_{rel} = \frac{\sqrt{\sum_k w_k^2 n_k}}{\sum_k w_k n_k}

        with n_k modes in the bin. Errors must not be smaller: all wave vectors of one
        glass contain the same soft spots, so their scatter may be smaller than that
        between glasses. NaN where there are no modes.

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

        With `counts`, (k, Q), each k is weighted by the number of its Q in that shell;
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
    """Combine the modes of several glasses, or further wave vectors of one glass.

    Parameters
    ----------
    *modes : xarray.Dataset
        From `bloch_modes`, for boxes with the same numbers of atoms and the same bins.
    same_glass : bool
        Whether they are wave vectors of one glass, drawn with different ``rng=``.

    Returns
    -------
    xarray.Dataset
        As from `bloch_modes`, along k; the coordinate ``glass`` numbers the glasses.
        ``Sq`` is the mean; positions are those of the first glass.

    Raises
    ------
    QuantityError, CoordinateError
        If their atoms or bins differ.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> pair = xbp.md.new_trajectory(
    ...     [[[0.0, 0, 0], [2.0, 0, 0]]], time=[0.0], cell=10 * np.eye(3),
    ...     mass=[40, 40], element=["Ar", "Ar"])
    >>> spring = np.kron([[1.0, -1.0], [-1.0, 1.0]], np.eye(3))
    >>> phi = xbp.md.lattice.new_force_constants(spring, pair)
    >>> one, two = (
    ...     phi.bp.bloch_modes(n_wavevectors=1, Q_max=None, rng=s) for s in (1, 2))
    >>> join_modes(one, two, same_glass=True).sizes["k"]
    2
    """
    if not modes:
        raise QuantityError("no modes are given")
    elements = [read_modes(one).elements() for one in modes]
    same_atoms = all(sorted(e) == sorted(elements[0]) for e in elements)
    axes = [
        [one.attrs.get("E_max"), *("Q" in one.coords, "E" in one.coords)]
        + [one[n].values.tolist() for n in ("Q_bnds",) if n in one.coords]
        for one in modes
    ]
    same = all(one == axes[0] for one in axes)
    longest = max(modes, key=lambda one: one.sizes.get("E", 0))
    if same and "E" in longest.coords:
        E = longest["E_bnds"].values
        same = all(np.array_equal(one["E_bnds"], E[: one.sizes["E"]]) for one in modes)
    if not same_atoms or not same:
        raise CoordinateError(
            "the modes differ in their atoms or in their bins",
            fix="call bloch_modes with the same Q_max=, dQ=, E_max= and dE=",
        )
    _require_other_draws(modes, same_glass)
    if all("Q" in one.coords for one in modes):
        Q = modes[0]["Q"].copy(data=np.mean([one["Q"].values for one in modes], axis=0))
        modes = tuple(one.assign_coords(Q=Q) for one in modes)
    rest = [name for name in modes[0].data_vars if "k" not in modes[0][name].dims]
    parts, first = [], 0
    most = max(one.sizes["mode"] for one in modes)
    for one in modes:
        own = one.drop_vars(rest).pad({"mode": (0, most - one.sizes["mode"])})
        if "E" in own.coords:  # a softer glass has nothing at the highest energies
            zeros = {"E": (0, longest.sizes["E"] - own.sizes["E"])}
            own = own.pad(zeros, constant_values=0.0).assign_coords(
                E=longest["E"], E_bnds=longest["E_bnds"]
            )
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


def _require_other_draws(modes: Sequence[xr.Dataset], same_glass: bool) -> None:
    """Refuse glasses, or wave vectors of one glass, that are counted twice."""
    places = [np.asarray(one["position"].values) for one in modes]
    equal = [np.array_equal(*pair) for pair in itertools.combinations(places, 2)]
    if same_glass and not all(equal):
        raise CoordinateError(
            "the modes are of different glasses", fix="same_glass=False"
        )
    if same_glass:
        k = np.concatenate([one["wavevector"].values for one in modes])
        if len(np.unique(k, axis=0)) < len(k):
            raise CoordinateError(
                "the same wave vectors are given twice",
                fix="bloch_modes with another rng=",
            )
    elif any(equal):
        raise CoordinateError("the same glass is given twice", fix="same_glass=True")


def jackknife(
    modes: xr.Dataset, function: Callable[[xr.Dataset], xr.Dataset | xr.DataArray]
) -> xr.Dataset:
    r"""Repeat an analysis of modes to find its errors due to the sampling of modes.

    The whole analysis is repeated with each k left out in turn, or each glass if there
    are several:

    .. math:: \sigma^2 = \frac{n-1}{n} \sum_r (\theta_r - \bar\theta)^2

    Different Q share the same modes, which the errors of single bins cannot show; the
    errors of a boson peak, a slope or a correlation found in this way include it.

    Parameters
    ----------
    modes : xarray.Dataset
        From `bloch_modes` or `join_modes`.
    function : callable
        Takes modes and returns a Dataset or DataArray, such as ``lambda m:
        m.bp.bloch_vdos().bp.to_bqe().bp.boson_peak()``.

    Returns
    -------
    xarray.Dataset
        What `function` returns for all modes, where ``<name>_std`` of every real number
        that varies is the scatter of the repetitions; NaN where a repetition gives NaN,
        such as a fit without a maximum.

    Raises
    ------
    QuantityError
        If there is only one k, or `function` does not return a Dataset or DataArray.

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
        raise QuantityError(
            "one wave vector gives no errors", fix="raise n_wavevectors="
        )
    glass, whole = modes["glass"].values, function(modes)
    parts = glass if np.unique(glass).size > 1 else np.arange(glass.size)
    few = [
        function(modes.isel(k=np.flatnonzero(parts != one))) for one in np.unique(parts)
    ]
    require_kind(whole, (xr.Dataset, xr.DataArray), "function(modes)", "a Dataset")
    table = whole.to_dataset() if isinstance(whole, xr.DataArray) else whole.copy()
    for name, variable in table.data_vars.items():
        if variable.dtype.kind != "f" or "_std" in str(name):
            continue
        several = [
            np.asarray((one if isinstance(one, xr.DataArray) else one[name]).values)
            for one in few
        ]
        std = sampled.std(np.stack(several))
        if (std == 0).all():  # an argument of the analysis, such as a limit
            continue
        units = {k: v for k, v in variable.attrs.items() if k == "units"}
        table[f"{name}_std"] = (variable.dims, std, units)
    # The scatter of the repetitions includes what bins have in common.
    common = [name for name in table if str(name).endswith("_std_common")]
    return table.drop_vars([*common, SOURCE], errors="ignore")
