"""g(E) from the modes of a glass at many wave vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.core.conditions import dimension_of
from xbp.core.errors import RangeError
from xbp.core.guards import (
    require_flag,
    require_fraction,
    require_memory,
    require_positive,
)
from xbp.core.operation import operation
from xbp.core.schema import QUANTITIES
from xbp.core.signal import label_std
from xbp.md.lattice.labels import begin_result, finish_result
from xbp.md.lattice.sampling import Sampled, at_rest, read_modes
from xbp.models.dimension import mode_count
from xbp.reduction.dos_area import AreaOf, area_attributes

__all__ = ["Counted", "bloch_vdos", "dos_attributes", "with_bins"]


class Counted:
    """The modes of each k in bins of energy.

    Attributes
    ----------
    width : float
        Of the bins, meV.
    edges : numpy.ndarray, shape (n_bins + 1,)
        meV, from 0 up.
    scale : numpy.ndarray, shape (n_k,)
        Over the number of all modes of each k and the width: from counts to g, 1/meV.
    """

    def __init__(self, data: xr.Dataset, width: float) -> None:
        energy, highest = data["mode_energy"].values, data.attrs["highest_energy"]
        # The highest of all wave vectors, so that a subset of them has the same bins.
        top = float(data.attrs.get("E_max", highest))
        n_bins = int(top / width + 1e-9)
        if not n_bins:
            raise RangeError(
                f"dE={width:g} meV is wider than the range of the modes, {top:g} meV",
                fix="pass a smaller dE=",
            )
        if "E_max" not in data.attrs:
            n_bins = int(top / width) + 1
        require_memory(float(n_bins) * energy.shape[0], f"dE={width:g} meV")
        self.width, self.edges = width, np.arange(n_bins + 1) * width
        self._bin = np.floor(energy / width)
        self._inside = (energy > 0) & ~at_rest(energy, highest) & (self._bin < n_bins)
        # At k = 0 as many modes as there are dimensions are translations of the box.
        at_zero = (data["wavevector"].values == 0).all(axis=1)
        d = dimension_of(data)
        n_modes = mode_count(data.sizes["atom"], d) - np.where(at_zero, d, 0)
        self.scale = 1 / (n_modes * width)

    def histogram(self, weights: np.ndarray) -> np.ndarray:
        """Sum weights of the modes, (k, mode), into bins, (k, E)."""
        rows = zip(self._bin, self._inside, weights, strict=True)
        n = self.edges.size - 1
        return np.stack([np.bincount(b[i].astype(int), w[i], n) for b, i, w in rows])


@operation(takes="bloch_modes", gives="vibrational_dos", step=2)
def bloch_vdos(
    data: xr.Dataset,
    dE: Any = "0.3 meV",
    *,
    partials: bool = False,
    localized_below: float = 0.1,
) -> xr.Dataset:
    r"""Compute g(E) of a glass from its modes at many wave vectors.

    .. math:: g(E) = \frac{1}{3N} \Big\langle \sum_s \delta(E - E_s) \Big\rangle_k

    Parameters
    ----------
    data : xarray.Dataset
        From `bloch_modes`.
    dE : scalar with units
        Width of the bins (bare: meV).
    partials : bool
        Of each element, along ``element``: the squares of the vectors of its atoms;
        they add up to the total. Needs modes with Q.
    localized_below : float
        Modes with a smaller participation ratio are counted as quasilocalised.

    Returns
    -------
    xarray.Dataset
        ``g`` (1/meV) over E with ``g_std``, the scatter between wave vectors, or
        between glasses, and at least the counting error of the modes in a bin; of unit
        area if all modes were found and none is imaginary. Modes with Q also give
        ``participation_ratio`` over E. ``.bp.to_bqe()`` makes g(E)/E².

    Raises
    ------
    QuantityError, UnitsError, RangeError
        If an argument is invalid.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> pair = xbp.md.new_trajectory(
    ...     [[[0.0, 0, 0], [2.0, 0, 0]]], time=[0.0], cell=10 * np.eye(3),
    ...     mass=[40, 40], element=["Ar", "Ar"])
    >>> spring = np.kron([[1.0, -1.0], [-1.0, 1.0]], np.eye(3))
    >>> phi = xbp.md.lattice.new_force_constants(spring, pair)
    >>> g = phi.bp.bloch_modes(n_wavevectors=1, Q_max=None).bp.bloch_vdos("0.5 meV").g
    >>> round(float(g.sum() * 0.5), 6)  # as a whole the pair has no energy
    0.5
    """
    by_element = require_flag(partials, "partials")
    limit = require_fraction(localized_below, "localized_below")
    trajectory = read_modes(data, *(["species_share"] if by_element else []))
    counted = Counted(data, require_positive(dE, "dE", "meV", energy=True))
    width, edges, scale = counted.width, counted.edges, counted.scale[:, None]
    energy, histogram = data["mode_energy"].values, counted.histogram
    sampled = Sampled(data)
    shares = [np.ones_like(energy)]
    if by_element:
        shares = list(data["species_share"].transpose("species", "k", "mode").values)
    found = [sampled.mean(histogram(share) * scale)[:2] for share in shares]
    least = sampled.relative_std(energy, edges)
    # A bin without modes has the error of one mode.
    one = float((sampled.weights[0] * counted.scale).max())
    dims = ("element", "E") if by_element else ("E",)
    ds = begin_result(data, trajectory)
    ds = with_bins(ds.drop_vars(list(ds.coords.keys() - {"box_phonon"})), edges)
    if by_element:
        ds = ds.assign_coords(element=data["species"].values)
    whole = "E_max" not in data.attrs
    area = float(sum(value.sum() for value, _ in found) * width)
    values = [value for value, _ in found]
    of: AreaOf = "modes of an element" if by_element else "all modes"
    attrs = dos_attributes(area_attributes(area if whole else None, of))
    ds["g"] = (dims, np.stack(values) if by_element else values[0], attrs)
    stds = [np.fmax(np.fmax(std, value * least), one) for value, std in found]
    ds["g_std"] = (dims, np.stack(stds) if by_element else stds[0])
    label_std(ds, "g")
    if "participation_ratio" in data:
        ratio = data["participation_ratio"].values
        number, several = histogram(np.ones_like(energy)), histogram(ratio)
        weights = sampled.weights
        with np.errstate(invalid="ignore"):
            mean = (weights @ several) / (weights @ number)
        label = {"units": "1", "long_name": "participation ratio"}
        ds["participation_ratio"] = ("E", mean[0], label)
        ds["participation_ratio_std"] = ("E", sampled.std(mean[1:]))
        label_std(ds, "participation_ratio")
        local = histogram((ratio < limit).astype(float))
        few, std, _ = sampled.mean(local)
        text = f"modes per box with a participation ratio below {limit:g}"
        ds["quasilocalized"] = ("E", few, {"units": "1", "long_name": text})
        # At least the counting error; a bin without modes has that of one mode.
        counting = np.sqrt(weights[0] ** 2 @ np.maximum(local, 1 / len(local)))
        ds["quasilocalized_std"] = ("E", np.fmax(std, counting))
        label_std(ds, "quasilocalized")
    return finish_result(ds, data, "bloch_vdos", {"dE": f"{width:g} meV"})


def with_bins(ds: xr.Dataset, edges: np.ndarray) -> xr.Dataset:
    """Give a Dataset an axis of energy bins, meV."""
    bounds = np.stack([edges[:-1], edges[1:]], axis=1)
    axis = {"units": "meV", "long_name": "energy", "bounds": "E_bnds"}
    return ds.assign_coords(
        E=("E", bounds.mean(axis=1), axis), E_bnds=(("E", "bnds"), bounds)
    )


def dos_attributes(area: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of the g(E) of a simulated glass."""
    return {
        "units": "1/meV",
        "quantity": "vibrational_dos",
        "long_name": QUANTITIES["vibrational_dos"].label,
        "statistics": "classical",
        "origin": "simulation",
        **area,
    }
