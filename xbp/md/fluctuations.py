"""Spectra of the fluctuations of any field of the atoms: φ(Q,E), Ω(Q,E), χ(E)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import CoordinateError, QuantityError
from xbp.core.guards import require_flag, require_kind
from xbp.core.operation import operation
from xbp.core.schema import require_units
from xbp.core.units import format_unit, parse_unit
from xbp.md.density import Task, segment_correlations, squares
from xbp.md.fields import FIELDS, FieldMaker
from xbp.md.moments import Column, Moments
from xbp.md.plan import Plan, Precision, answer, read_call
from xbp.md.run import add_up, segments, summarize
from xbp.md.trajectory import Block, Trajectory
from xbp.md.vibration import autocorrelations
from xbp.md.wavevectors import Shells
from xbp.md.window import Taper, Window, band_matrix, require_resolved

__all__ = ["fluctuation_spectrum"]


@operation(takes="trajectory", gives="fluctuation_spectrum")
def fluctuation_spectrum(
    data: xr.Dataset,
    field: str | xr.DataArray | Sequence[str | xr.DataArray],
    Q_max: Any,
    dQ: Any = "0.05 1/angstrom",
    *,
    cutoff: Any = None,
    reference: Any = "mean",
    subtract_mean: bool = True,
    E_max: Any = None,
    dE: Any = None,
    window: Any = None,
    resolution: Any = None,
    taper: Taper = "hann",
    T: Any = None,
    max_wavevectors_per_shell: int | None = None,
    precision: Precision = "single",
    folding: float | None = 0.2,
    progress: bool = False,
) -> xr.Dataset | xr.DataTree:
    r"""Compute how the fluctuations of a local field are correlated in space and time.

    .. math:: \varphi(Q,t) = \frac1N \sum_{jk} \langle \delta X_j(t)\, \delta X_k(0)\,
              e^{i\mathbf Q\cdot(\mathbf r_j(t) - \mathbf r_k(0))} \rangle_{|\mathbf
              Q|=Q}, \quad \delta X_j = X_j - \overline{X_j}, \quad \Omega(Q,E) =
              \frac{1}{2\pi\hbar}\int \mathrm{d}t\, e^{iEt/\hbar}
              \frac{\varphi(Q,t)}{\varphi(Q,0)}

    Tensors correlate by their double contraction, Σ_ab δX_ab δX_ab, vectors by their
    scalar product. χ(E) is the spectrum of the atoms each with itself, without the
    phase.

    Parameters
    ----------
    data : xarray.Dataset
        A trajectory.
    field : str, xarray.DataArray, or sequence of these
        A name of `local_fields`, or numbers with units over ``time`` and ``atom`` and
        any components. Several fields share one pass over the trajectory.
    Q_max, dQ
        As for `dynamic_structure_factor`.
    cutoff, reference
        As for `local_fields`.
    subtract_mean : bool
        Correlate the deviations from every atom's mean over the trajectory. Without it
        a field of ones gives S(Q,E).
    E_max, dE, window, resolution, taper, T, max_wavevectors_per_shell, precision,
    progress
        As for `dynamic_structure_factor`.
    folding : float or None
        As for `dynamic_structure_factor`, of φ(Q,E) and χ(E).

    Returns
    -------
    xarray.Dataset, or xarray.DataTree of one for each field
        ``Omega`` (1/meV) and ``phi`` (units² of the field per meV) over Q and E ≥ 0
        (they are even); ``phi_Q``, φ(Q, t = 0), the integral of φ over both sides;
        ``chi`` over E and its integral ``variance``; each with ``_std`` from the
        scatter of the segments.

    Raises
    ------
    QuantityError, CoordinateError
        If a field does not fit the trajectory, is not finite, or does not fluctuate.
    XbpError
        As for `dynamic_structure_factor` and `local_fields`.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, eqs. 4 and 5.

    Examples
    --------
    >>> import xbp
    >>> solid = xbp.md.models.einstein_solid(
    ...     100, 400, cell=12, energy="8 meV", T=300, mass=40, time_step=0.025, rng=1)
    >>> spectrum = solid.bp.fluctuation_spectrum(
    ...     "shear_strain", 3, 0.5, cutoff=4.5, window="2.5 ps")
    >>> chi = spectrum.chi.sel(E=slice(4, None))
    >>> round(float(chi.E[chi.argmax("E")]))
    8
    """
    given = dict(locals())
    trajectory = read_call(given)
    frames = Window.make(trajectory, given)
    plan = Plan.make(trajectory, given, frames.length)
    several = isinstance(field, Sequence) and not isinstance(field, str)
    given["field"] = list(field) if several else [field]
    fields = _Fields.make(trajectory, given)
    bare = replace(fields, given=None)
    if require_flag(subtract_mean, "subtract_mean"):
        total = add_up(trajectory, _sum_of_values, bare, field=fields.given)["sum"]
        bare = replace(bare, mean=total / trajectory.n_frames)
    moments = summarize(
        trajectory,
        segments(trajectory, frames.taper),
        _fluctuations(bare, frames, plan.precision),
        plan.shells_task,
        given=given,
        field=fields.given,
        numbers_per_atom=6 + fields.groups.shape[1],
    )
    # φ/φ(0) is a ratio of means; that of the segments gives its scatter alone, since
    # their mean would be biased.
    with np.errstate(divide="ignore", invalid="ignore"):
        moments.mean["Omega"] = moments.mean["phi"] / moments.mean["phi_Q"][..., None]
    coords = {**plan.coordinates(), "E": ("E", frames.energies)}
    made = {} if fields.maker is None else fields.maker.arguments
    answers = {}
    for row, (name, units) in enumerate(fields.units.items()):
        text = f"the spectrum of '{name}'"
        doubts = require_resolved(
            moments.mean["bands"][row], trajectory, frames, text, T
        )
        answers[name] = answer(
            "fluctuation_spectrum", trajectory, moments,
            _columns(moments, row, name, units), coords, given, window=frames,
            doubts=doubts, attrs={"field": name}, field=name, **made,
        )  # fmt: skip
    return xr.DataTree.from_dict(answers) if several else next(iter(answers.values()))


def _columns(moments: Moments, row: int, name: str, units: str) -> dict[str, Column]:
    if not (moments.mean["phi_Q"][row] > 0).all():
        raise QuantityError(
            f"'{name}' does not fluctuate: it equals its mean at every time",
            fix="pass a field that changes, or subtract_mean=False",
        )
    square = parse_unit(units) ** 2
    plain, density = format_unit(square), format_unit(square / parse_unit("meV"))
    static, local = "static_fluctuation", "local_fluctuation_spectrum"
    Q = {"long_name": "φ(Q, t = 0)"}
    atom = {"long_name": "mean-square fluctuation of an atom"}
    rows: dict[str, tuple[tuple[str, ...], str, str | None, Mapping[str, str]]] = {
        "Omega": (("Q", "E"), "1/meV", "normalized_fluctuation_spectrum", {}),
        "phi": (("Q", "E"), density, "fluctuation_spectrum", {}),
        "phi_Q": (("Q",), plain, static, Q),
        "chi": (("E",), density, local, {}),
        "variance": ((), plain, None, atom),
    }
    return {
        key: moments.column(key, dims, unit, quantity, row=row, attrs=attrs)
        for key, (dims, unit, quantity, attrs) in rows.items()
    }


@dataclass(frozen=True)
class _Fields:
    """The fields that were asked for, as components of one array.

    Attributes
    ----------
    maker : FieldMaker or None
        Makes the first of the components from positions.
    given : array, shape (n_frames, n_components, n_atoms), or None
        The rest: the user's arrays.
    units : dict of str
        Name → units: those made first, then the user's.
    groups : numpy.ndarray, shape (n_fields, n_components)
        One where a component belongs to a field.
    mean : numpy.ndarray, shape (n_components, n_atoms), or None
        What is subtracted.
    """

    maker: FieldMaker | None
    given: Any
    units: dict[str, str]
    groups: np.ndarray
    mean: np.ndarray | None = None

    @classmethod
    def make(cls, trajectory: Trajectory, given: Mapping[str, Any]) -> _Fields:
        """Check the fields of a call."""
        names = [f for f in given["field"] if isinstance(f, str)]
        arrays = [f for f in given["field"] if not isinstance(f, str)]
        maker = None
        if names or not arrays:
            maker = FieldMaker.make(trajectory, names, given)
        units = {name: FIELDS[name].units for name in names}
        one = np.zeros((1, 1, 3, 3))
        widths = [len(_components(name, one)) for name in names]
        parts: list[Any] = []
        for array in arrays:
            require_kind(
                array, xr.DataArray, "field", "a name or labelled numbers, "
                "xarray.DataArray(values, dims=('time', 'atom'), attrs={'units': '1'})",
            )  # fmt: skip
            name = str(array.name or f"field_{len(parts)}")
            if name in units:
                raise QuantityError(f"two fields are named '{name}'", fix="rename one")
            units[name] = require_units(array, f"'{name}'", "1", owner=name)
            parts.append(_in_order(trajectory, name, array))
            widths.append(parts[-1].shape[1])
        groups = np.repeat(np.eye(len(widths)), widths, axis=1)
        own = np.concatenate(parts, axis=1) if parts else None
        return cls(maker, own, units, groups)


def _components(name: str, values: np.ndarray) -> list[np.ndarray]:
    """Return the numbers of a field whose squares add up to its double contraction."""
    if FIELDS[name].tensor == "deviatoric":
        # Five in an orthonormal basis of the traceless symmetric tensors.
        xx, yy, zz = (values[..., a, a] for a in range(3))
        diagonal = [(xx - yy) / np.sqrt(2), (2 * zz - xx - yy) / np.sqrt(6)]
        sides = ((0, 1), (0, 2), (1, 2))
        return diagonal + [values[..., a, b] * np.sqrt(2) for a, b in sides]
    if FIELDS[name].tensor:
        return [values[..., a, b] for a in range(3) for b in range(3)]
    return [values]


def _in_order(trajectory: Trajectory, name: str, array: xr.DataArray) -> Any:
    """Check a field of the user and put it in the order (time, component, atom)."""
    if not {"time", "atom"} <= set(array.dims) or array.dtype.kind not in "fiu":
        raise QuantityError(
            f"the field '{name}' has dimensions {array.dims}, type {array.dtype}; it "
            "must be real numbers over time, atom and any components",
        )
    sizes = (trajectory.n_frames, trajectory.n_atoms)
    if (array.sizes["time"], array.sizes["atom"]) != sizes:
        raise CoordinateError(
            f"the field '{name}' has {array.sizes['time']} times and "
            f"{array.sizes['atom']} atoms, the trajectory {sizes[0]} and {sizes[1]}",
        )
    if "time" in array.coords and "time" in trajectory.source.coords:
        own, other = array["time"], trajectory.source["time"]
        same = np.allclose(own, other, rtol=1e-9, atol=1e-9)
        if own.attrs.get("units") == other.attrs.get("units") and not same:
            raise CoordinateError(
                f"the times of the field '{name}' differ from those of the trajectory",
                fix=f"{name} = {name}.sel(time=traj.time)",
            )
    components = [d for d in array.dims if d not in ("time", "atom")]
    ordered = array.transpose("time", *components, "atom").data
    return ordered.reshape(sizes[0], -1, sizes[1])


def _values(block: Block, fields: _Fields, dtype: Any = float) -> np.ndarray:
    """Return all components of the fields, shape (n_frames, n_components, n_atoms)."""
    n_frames = len(block.position)
    whole: Any = None
    # Few frames at a time: tensors on the way take more than what is kept.
    for first in range(0, n_frames, 32):
        part = block.part(first, min(first + 32, n_frames))
        made = {} if fields.maker is None else fields.maker(part)
        columns = [c for name, field in made.items() for c in _components(name, field)]
        own = [np.stack(columns, axis=1)] if columns else []
        given = [] if part.field is None else [np.asarray(part.field, dtype=float)]
        values = np.concatenate([*own, *given], axis=1)
        if not np.isfinite(values.sum()):
            frame, component, atom = np.argwhere(~np.isfinite(values))[0].tolist()
            name = list(fields.units)[int(np.argmax(fields.groups[:, component]))]
            raise QuantityError(
                f"'{name}' is {values[frame, component, atom]} at atom {atom} in "
                f"frame {part.first + frame}",
                fix="raise cutoff= if the atom has no neighbors, or drop it",
            )
        if whole is None:
            whole = np.empty((n_frames, *values.shape[1:]), dtype=dtype)
        mean = 0.0 if fields.mean is None else fields.mean
        whole[first : first + len(values)] = values - mean
    return np.asarray(whole)


def _sum_of_values(block: Block, fields: _Fields) -> dict[str, np.ndarray]:
    return {"sum": _values(block, fields).sum(axis=0)}


def _rows(values: np.ndarray, first: int, block: Block) -> Iterator[np.ndarray]:
    """Give the values of every frame, from `first` on, as weights of its atoms."""
    return iter(values[block.first - first :])


def _fluctuations(
    fields: _Fields, window: Window, precision: Precision
) -> Callable[[Block, list[int], Shells], dict[str, np.ndarray]]:
    """Return what makes φ, Ω and χ of the segments of a block."""
    taper, length, cosines = window.taper, window.length, window.cosines()
    bands = band_matrix(window)

    def spectra(
        block: Block, starts: list[int], shells: Shells
    ) -> dict[str, np.ndarray]:
        # All frames of the block are kept: in the precision of their densities.
        values = _values(block, fields, np.float32 if precision == "single" else float)
        _, n_components, n_atoms = values.shape
        norm, ones = (taper**2).sum() * n_atoms, np.ones((1, n_atoms))
        # All at a time: their transforms share the places of the atoms.
        rows = partial(_rows, values, block.first)
        task = Task(taper, rows, n_components, squares, precision)
        found = segment_correlations(block, starts, task, shells)
        phi = np.einsum("fc,scql->sfql", fields.groups, found) / norm
        local = np.empty((len(starts), n_components, length))
        for component in range(n_components):
            for number, start in enumerate(starts):
                part = values[start : start + length, [component]]
                local[number, component] = autocorrelations(part, taper, ones)[0, 0]
        chi = fields.groups @ local / norm
        density, near = phi @ cosines, (chi @ bands)[:, :, None]
        return {
            "phi": density,
            "phi_Q": phi[..., 0],
            "Omega": density / np.where(phi[..., :1] > 0, phi[..., :1], np.nan),
            "chi": chi @ cosines,
            "variance": chi[..., 0],
            "bands": np.concatenate([phi @ bands, near], axis=2),
            "drift": block.drift(starts, length),
        }

    return spectra
