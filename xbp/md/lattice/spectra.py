"""Spectra from the modes of a glass at many wave vectors.

A few modes give the scattering at many Q, so errors are the scatter between wave
vectors k, or between glasses, never between bins of Q.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.conditions import temperature_coordinate
from xbp.core.errors import RangeError
from xbp.core.guards import choose, require_flag
from xbp.core.operation import operation
from xbp.core.schema import labels
from xbp.md.lattice.labels import add_column, begin_result, finish_result
from xbp.md.lattice.sampling import (
    Sampled,
    read_modes,
    replicate_weights,
    squared_amplitudes,
)
from xbp.md.trajectory import Trajectory
from xbp.md.weights import (
    Mixing,
    Normalization,
    OfSpectra,
    check_normalization,
    mix_rows,
    weighting,
)
from xbp.models.dimension import mode_count
from xbp.models.factors import thermal_factor

__all__ = [
    "bloch_currents",
    "bloch_fluctuations",
    "bloch_structure_factor",
]

Statistics = Literal["quantum", "classical"]


def _displacements(
    data: xr.Dataset, trajectory: Trajectory, T: float, statistics: Statistics
) -> np.ndarray:
    r"""Return u² per axis (Å²) of each species, from all modes, of a plane at k = 0.

    .. math:: u_a^2 = \frac{1}{3N_a} \Big\langle \sum_s \sum_{j\in a}
              \frac{|\mathbf e_{sj}|^2}{m_j} \frac{\hbar^2}{2E_s}
              \coth\frac{E_s}{2k_BT} \Big\rangle_k
    """
    d = trajectory.dimension
    box = "box_" if d == 2 else ""
    energy = data[f"{box}mode_energy"].transpose("k", "mode").values
    share = data[f"{box}displacement_share"].transpose("k", "species", "mode").values
    per_mode = squared_amplitudes(energy, data.attrs["highest_energy"], T, statistics)
    per_k = np.einsum("ksm,km->ks", np.nan_to_num(share), per_mode)
    _, counts = np.unique(trajectory.elements(), return_counts=True)
    weights = replicate_weights(data)[0][0]
    return np.asarray(weights @ per_k / mode_count(counts, d))


def _scatter(modes: xr.Dataset) -> bool:
    return "strength" in modes


def _strained(modes: xr.Dataset) -> bool:
    return "field_strength" in modes


@operation(takes="bloch_modes", gives="dynamic_structure_factor", step=1, when=_scatter)
def bloch_structure_factor(
    data: xr.Dataset,
    T: Any,
    *,
    weights: Any = "neutron",
    b: Any = None,
    statistics: Statistics = "quantum",
    debye_waller: bool = True,
    partials: bool = False,
    normalization: OfSpectra = "ashcroft-langreth",
) -> xr.Dataset:
    r"""Compute the one-phonon S(Q,E) of a glass from its modes.

    .. math:: S(Q,E) = \frac{1}{N\langle w^2\rangle} \sum_s \Big\langle \Big| \sum_j
              w_j e^{-Q^2u_j^2/2} \frac{\mathbf Q\cdot\mathbf e_{sj}}{\sqrt{m_j}}
              e^{-i\mathbf G\cdot\mathbf r_j} \Big|^2 \Big\rangle
              \frac{\hbar^2}{2E_s}\, [n(E_s) + 1]\, \delta(E - E_s)

    averaged over all Q = k + G of a shell; with classical statistics, k_BT/E replaces
    n + 1. u² is the mean of each species. In a plane of atoms, where it grows without
    bound as k → 0, it is that of the modes at k = 0, as in one box.

    Parameters
    ----------
    data : xarray.Dataset
        From `bloch_modes`.
    T : scalar with units
        Temperature (bare: K).
    weights : {"neutron", "xray", "unit"}
        As for `dynamic_structure_factor`; a model glass, whose species are not
        elements, needs "unit".
    b, partials, normalization
        As for `dynamic_structure_factor`.
    statistics : {"quantum", "classical"}
        Statistics of the occupation of the modes.
    debye_waller : bool
        Whether to include the Debye-Waller factors; False: u² = 0.

    Returns
    -------
    xarray.Dataset
        ``S`` (1/meV) over Q and E > 0 with ``S_std``, the scatter between wave vectors,
        or between glasses, and at least the counting error of the modes in a bin;
        ``Sq``, the S(Q) of the atoms at rest; ``u2`` and ``temperature``. Errors at
        different Q are correlated: ``Q_independence`` is the fraction of an independent
        bin that each Q represents in a mean over Q, ``Q_common`` the fraction of the
        variance that all Q have in common.

    Raises
    ------
    QuantityError, RangeError, TemperatureError
        If the modes were computed without Q, an argument is invalid, or u² is not known
        because `bloch_modes` found only the modes up to an energy.

    References
    ----------
    S. W. Lovesey, Theory of Neutron Scattering from Condensed Matter 1 (1984), ch. 4.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> pair = xbp.md.new_trajectory(
    ...     [[[0.0, 0, 0], [2.0, 0, 0]]], time=[0.0], cell=10 * np.eye(3),
    ...     mass=[40, 40], element=["Ar", "Ar"])
    >>> spring = np.kron([[1.0, -1.0], [-1.0, 1.0]], np.eye(3))
    >>> phi = xbp.md.lattice.new_force_constants(spring, pair)
    >>> modes = phi.bp.bloch_modes(n_wavevectors=1, Q_max=2, dQ=0.5)
    >>> sqe = modes.bp.bloch_structure_factor("10 K", weights="unit")
    >>> sqe.S.dims, sqe.S.attrs["statistics"]
    (('Q', 'E'), 'quantum')
    """
    trajectory = read_modes(data, "strength", "Sq")
    chosen: Statistics = choose(statistics, Statistics, "statistics")
    temperature = temperature_coordinate(T)
    kelvin = float(temperature.values)
    _, counts = np.unique(trajectory.elements(), return_counts=True)
    u2 = np.zeros(counts.size)
    if require_flag(debye_waller, "debye_waller"):
        _require_all_modes(data, "u2", "debye_waller=False, or")
        u2 = _displacements(data, trajectory, kelvin, chosen)
    Q, E = data["Q"].values, data["E"].values
    mixing, of_u2 = _mixing(trajectory, weights, b, partials, normalization, Q)
    rows, static = _rows(data, trajectory, "strength", u2)
    factor = constants.HBAR2_OVER_2U * Q[:, None] ** 2 / E**2
    factor = factor / thermal_factor(E, np.asarray(kelvin), chosen)
    dims = ("pair", "Q", "E") if partials else ("Q", "E")
    sampled, count = Sampled(data), data["n_wavevectors"].values
    least = _least(sampled, data)
    values, stds, f, common = [], [], 1.0, 0.0
    for out in range(len(mixing.mix)):
        mix = np.broadcast_to(mixing.mix[out], (rows.shape[1], Q.size))
        per_k = np.einsum("pq,kpqe->kqe", mix, rows) * factor
        value, std, replicates = sampled.mean(per_k, count)
        std = np.fmax(std, np.abs(value) * least)
        if out == 0:
            f, common = _independence(value, std, replicates, sampled, least)
        values.append(value)
        stds.append(std)
    still = (
        np.einsum(
            "orq,rq->oq",
            np.broadcast_to(mixing.mix, (*mixing.mix.shape[:2], Q.size)),
            static,
        )
        + mixing.offset
    )
    ds = begin_result(data, trajectory)
    about = {"statistics": chosen, "part": "coherent"}
    add_column(
        ds, "S", dims, values, stds, "1/meV", "dynamic_structure_factor", **about
    )
    text = {"long_name": "S(Q) of the atoms at rest"}
    add_column(
        ds, "Sq", dims[:-1], list(still), [None], "1", "static_structure_factor", **text
    )
    mean = float(of_u2 @ u2)
    note = "mean-square displacement per axis, of the mean scatterer"
    if trajectory.dimension == 2:
        note += f", in the box of {trajectory.n_atoms} atoms"
    extra: dict[str, Any] = {
        "temperature": temperature,
        "u2": ((), mean, {"units": "angstrom**2", "long_name": note}),
        "box_Q_min": ((), trajectory.lowest_wavevector, labels("box_Q_min")),
        "Q_independence": ("Q", np.full(Q.size, f), {"units": "1"}),
        "Q_common": ("Q", np.full(Q.size, common), {"units": "1"}),
    }
    if partials:
        extra["pair"] = ("pair", list(mixing.labels))
        share = mixing.share
        extra["weight"] = (("pair", "Q")[: share.ndim], share, {"units": "1"})
    arguments = {"T": f"{kelvin:g} K", "statistics": chosen, "weights": weights}
    return finish_result(
        ds.assign_coords(extra), data, "bloch_structure_factor", arguments
    )


def _require_all_modes(data: xr.Dataset, what: str, instead: str = "") -> None:
    """Refuse modes up to an energy for what needs all of them."""
    if "E_max" in data.attrs:
        raise RangeError(
            f"{what} is not known, because only the modes up to E_max= were found",
            fix=f"{instead} bloch_modes without E_max=".strip(),
        )


def _mixing(
    trajectory: Trajectory,
    weights: Any,
    b: Any,
    partials: bool,
    normalization: Normalization,
    Q: np.ndarray,
) -> tuple[Mixing, np.ndarray]:
    """Return the weights of the pairs of species in S, and of the species in u²."""
    require_flag(partials, "partials")
    name = check_normalization(normalization, partials=partials, static=False)
    choose(weights, ("neutron", "xray", "unit"), "weights")
    found = weighting(trajectory, weights, Q, by_element=True, squared=False, b=b)
    power = np.abs(found.factors) ** 2
    power = power[:, 0] if power.ndim == 2 else power
    share = power * np.count_nonzero(found.channels, axis=1)
    mixing = mix_rows(found, partials, name, False, trajectory.n_atoms)
    return mixing, share / share.sum()


def _rows(
    data: xr.Dataset, trajectory: Trajectory, name: str, u2: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the spectra of pairs of species, (k, pair, Q, E), and S(Q), (pair, Q).

    Both are sums over all atoms, as `mix_rows` needs; the spectra include the
    Debye-Waller factors.
    """
    n = trajectory.n_atoms
    strength = data[name].transpose("k", "pair", "Q", "E").values.astype(float)
    a, b = np.triu_indices(u2.size)
    Q = data["Q"].values
    damping = np.exp(-(Q**2) * (u2[a] + u2[b])[:, None] / 2)
    return n * damping[..., None] * strength, n * data["Sq"].values


def _least(sampled: Sampled, data: xr.Dataset) -> np.ndarray:
    """Return the smallest relative error that each bin of E may have."""
    bounds = data["E_bnds"].values
    edges = np.append(bounds[:, 0], bounds[-1, 1])
    return sampled.relative_std(data["mode_energy"].values, edges)


def _independence(
    value: np.ndarray,
    std: np.ndarray,
    replicates: np.ndarray,
    sampled: Sampled,
    least: np.ndarray,
) -> tuple[float, float]:
    """Return f of each Q, and the fraction of the variance that all Q have in common.

    f is found from the errors of means over Q, which are larger than for independent
    bins because all Q share the same modes; the common fraction from those of the ratio
    to the mean over Q. Both are relative to the mean, so that all E have equal weight.
    """
    seen = np.isfinite(replicates).all(axis=(0, 2)) & (np.nan_to_num(value) > 0).any(1)
    some = np.isfinite(least)
    # One Q, or the one draw of a single k, differs from no other.
    if seen.sum() < 2 or not some.any() or len(replicates) < 2:
        return 1.0, 0.0
    mean = value[seen].mean(axis=0)[some]
    few = replicates[:, seen][:, :, some]
    of_each = few.mean(axis=1, keepdims=True)
    spread = sampled.std(of_each[:, 0])
    together = np.fmax(spread / mean, least[some]) ** 2
    relative = (std[seen][:, some] / mean) ** 2
    f = relative.mean(axis=0).sum() / seen.sum() / together.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        contrast = np.nan_to_num(sampled.std(few / of_each) ** 2)
    common = 1 - contrast.sum() / relative.sum()
    return float(np.clip(f, 1 / seen.sum(), 1)), float(np.clip(common, 0, 1))


@operation(takes="bloch_modes", gives="current_spectrum", step=3, when=_scatter)
def bloch_currents(
    data: xr.Dataset, T: Any, *, statistics: Statistics = "classical"
) -> xr.Dataset:
    r"""Compute longitudinal and transverse current spectra of a glass from its modes.

    .. math:: C_L(Q,E) = \frac{1}{N} \sum_s \Big\langle \Big| \sum_j
              \frac{\hat{\mathbf Q}\cdot\mathbf e_{sj}}{\sqrt{m_j}} e^{-i\mathbf
              G\cdot\mathbf r_j} \Big|^2 \Big\rangle \frac{E_s}{2}\, [n(E_s) + 1]\,
              \delta(E - E_s)

    and C_T is half the sum over the two directions across Q (in a plane one). All atoms
    have equal weight, and there are no Debye-Waller factors; with classical statistics,
    k_BT/E replaces n + 1.

    Parameters
    ----------
    data : xarray.Dataset
        From `bloch_modes`.
    T : scalar with units
        Temperature (bare: K).
    statistics : {"quantum", "classical"}
        Statistics of the occupation of the modes.

    Returns
    -------
    xarray.Dataset
        ``C_L`` and ``C_T`` (angstrom²/ps²/meV) over Q and E > 0, each with ``_std``.

    Raises
    ------
    QuantityError, TemperatureError
        If an argument is invalid, or the modes were computed without Q.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> pair = xbp.md.new_trajectory(
    ...     [[[0.0, 0, 0], [2.0, 0, 0]]], time=[0.0], cell=10 * np.eye(3),
    ...     mass=[40, 40], element=["Ar", "Ar"])
    >>> spring = np.kron([[1.0, -1.0], [-1.0, 1.0]], np.eye(3))
    >>> phi = xbp.md.lattice.new_force_constants(spring, pair)
    >>> modes = phi.bp.bloch_modes(n_wavevectors=1, Q_max=2, dQ=0.5)
    >>> sorted(modes.bp.bloch_currents("10 K").data_vars)
    ['C_L', 'C_L_std', 'C_T', 'C_T_std']
    """
    trajectory = read_modes(data, "strength", "transverse_strength")
    chosen: Statistics = choose(statistics, Statistics, "statistics")
    temperature = temperature_coordinate(T)
    kelvin = float(temperature.values)
    E = data["E"].values
    # ħ²/2 · 1/⟨n⟩/E · (E/ħ)²: Å²/ps² for each 1/u.
    factor = (
        constants.HBAR2_OVER_2U
        / constants.HBAR**2
        / thermal_factor(E, np.asarray(kelvin), chosen)
    )
    twice = np.where(np.equal(*np.triu_indices(data.sizes["species"])), 1, 2)
    sampled, count = Sampled(data), data["n_wavevectors"].values
    ds = begin_result(data, trajectory)
    for name, strength in (("C_L", "strength"), ("C_T", "transverse_strength")):
        rows = data[strength].transpose("k", "pair", "Q", "E").values.astype(float)
        per_k = np.einsum("p,kpqe->kqe", twice, rows) * factor
        value, std, _ = sampled.mean(per_k, count)
        std = np.fmax(std, value * _least(sampled, data))
        labels = {"long_name": f"{name}(Q,E)", "statistics": chosen}
        add_column(
            ds, name, ("Q", "E"), [value], [std], "angstrom**2/meV/ps**2",
            "current_spectrum", **labels,
        )  # fmt: skip
    ds.attrs["number_density"] = trajectory.density
    ds = ds.assign_coords(temperature=temperature)
    arguments = {"T": f"{kelvin:g} K", "statistics": chosen}
    return finish_result(ds, data, "bloch_currents", arguments)


@operation(
    takes="bloch_modes",
    gives="normalized_fluctuation_spectrum",
    step=4,
    when=_strained,
)
def bloch_fluctuations(
    data: xr.Dataset,
    field: str,
    *,
    T: Any = None,
) -> xr.Dataset:
    r"""Compute the spectrum of the strain fluctuations of a glass from its modes.

    .. math:: \varphi(Q,E) = \frac1N \sum_s \Big\langle \Big| \sum_j X_{sj}
              e^{-i\mathbf G\cdot\mathbf r_j} \Big|^2 \Big\rangle
              \frac{\hbar^2 k_BT}{2E_s^2}\, \delta(E - E_s), \quad \Omega(Q,E) =
              \frac{\varphi(Q,E)}{\int \varphi\, \mathrm{d}E}

    X_sj is the strain of the neighbors of atom j in mode s, linear in the
    displacements; for the shear strain, its double contraction is used. Statistics are
    classical, and there are no Debye-Waller factors.

    Parameters
    ----------
    data : xarray.Dataset
        From `bloch_modes` with ``strain=True``.
    field : {"volumetric_strain", "shear_strain"}
        Which strain.
    T : scalar with units, optional
        Temperature of φ (bare: K). Ω does not depend on it; without T, φ is left out.

    Returns
    -------
    xarray.Dataset
        ``Omega`` (1/meV) over Q and E > 0 with ``Omega_std``; its integral over
        positive and negative E is 1. With T also ``phi`` (1/meV).

    Raises
    ------
    QuantityError, TemperatureError
        If an argument is invalid, or the modes were computed without strain.
    RangeError
        If only the modes up to an energy were found.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, eqs. 4 and 5.

    Examples
    --------
    >>> import xbp
    >>> glass = xbp.tutorial.open_dataset("kob_andersen_trajectory").isel(time=[-1])
    >>> phi = xbp.md.lattice.force_constants(glass, "kob_andersen")
    >>> modes = phi.bp.bloch_modes(n_wavevectors=1, Q_max=2, dQ=0.5, strain=True)
    >>> Omega = modes.bp.bloch_fluctuations("shear_strain").Omega
    >>> bool(abs(2 * (Omega.isel(Q=-1) * 0.1).sum() - 1) < 1e-6)
    True
    """
    trajectory = read_modes(data, "field_strength")
    _require_all_modes(data, "the integral of φ")
    name: str = choose(field, [str(n) for n in data["field"].values], "field")
    E = data["E"].values
    widths = np.diff(data["E_bnds"].values, axis=1)[:, 0]
    strength = data["field_strength"].sel(field=name).transpose("k", "Q", "E").values
    per_k = strength.astype(float) * constants.HBAR2_OVER_2U / E**2
    sampled, count = Sampled(data), data["n_wavevectors"].values
    value, std, replicates = sampled.mean(per_k, count)
    least = _least(sampled, data)

    def normalized(phi: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(phi / (2 * phi @ widths)[..., None])

    ds = begin_result(data, trajectory)
    Omega, Omega_std = normalized(value), sampled.std(normalized(replicates))
    Omega_std = np.fmax(Omega_std, Omega * least)
    add_column(
        ds, "Omega", ("Q", "E"), [Omega], [Omega_std], "1/meV",
        "normalized_fluctuation_spectrum", statistics="classical",
    )  # fmt: skip
    arguments = {"field": name}
    if T is not None:
        temperature = temperature_coordinate(T)
        kT = constants.BOLTZMANN_MEV * float(temperature.values)
        scaled = np.fmax(std, value * least) * kT
        add_column(
            ds, "phi", ("Q", "E"), [value * kT], [scaled], "1/meV",
            "fluctuation_spectrum", statistics="classical",
        )  # fmt: skip
        ds = ds.assign_coords(temperature=temperature)
        arguments["T"] = f"{float(temperature.values):g} K"
    ds.attrs["field"] = name
    return finish_result(ds, data, "bloch_fluctuations", arguments)
