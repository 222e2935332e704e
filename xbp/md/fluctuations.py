"""Spectra of the fluctuations of any field that atoms carry.

φ(Q,E), Ω(Q,E) and χ(E).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy
import xarray as xr

from xbp.core.errors import CoordinateError, QuantityError
from xbp.core.operation import operation
from xbp.core.schema import require_units
from xbp.core.units import format_unit, parse_unit
from xbp.md.correlation import Task, pairs, segment_correlations
from xbp.md.density import Precision
from xbp.md.folding import band_matrix, folding_limit, require_resolved
from xbp.md.labels import Column, label, sample_temperature, window_attrs, window_frames
from xbp.md.local_fields import FIELDS, FieldMaker
from xbp.md.plan import Plan, Taper, cosines, energy_grid, lag_resolution, make_taper
from xbp.md.run import Moments, Segments, add_up, segments, summarize
from xbp.md.trajectory import Block, Trajectory, read_trajectory
from xbp.md.wavevectors import Shells

__all__ = ["fluctuation_spectrum"]

#: Frames whose fields are computed at a time.
_FRAMES = 32


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
    ...     100, 400, cell=12, energy="8 meV", T=300, mass=40, time_step="25 fs", seed=1)
    >>> spectrum = solid.bp.fluctuation_spectrum("shear_strain", 3, 0.5, cutoff=4.5, window="2.5 ps")
    >>> chi = spectrum.chi.sel(E=slice(4, None))
    >>> round(float(chi.E[chi.argmax("E")]))
    8
    """
    trajectory = read_trajectory(data)
    length = window_frames(trajectory, window, dE)
    plan = Plan.make(
        data, Q_max, dQ, length=length, weights="unit", part="coherent", partials=False,
        normalization="ashcroft-langreth",
        precision=precision, max_wavevectors_per_shell=max_wavevectors_per_shell, origin_step=None,
    )  # fmt: skip
    several = isinstance(field, Sequence) and not isinstance(field, str)
    fields = _Fields.make(
        data, trajectory, list(field) if several else [field], cutoff, reference
    )
    step = trajectory.time_step
    energies = energy_grid(length, step, E_max)
    shape = make_taper(taper, length)
    limit = folding_limit(folding)
    bare = replace(fields, given=None)
    if subtract_mean:
        total = add_up(trajectory, _sum_of_values, bare, field=fields.given)["sum"]
        bare = replace(bare, mean=total / trajectory.n_frames)
    cut = segments(trajectory, length, shape)
    waves = cosines(energies, step, lag_resolution(resolution, length, step))
    task = _Fluctuations(
        bare, shape, waves, band_matrix(length, step, power=0), plan.precision
    )
    moments = summarize(
        trajectory,
        cut,
        task,
        plan.delayed_shells(),
        field=fields.given,
        numbers_per_atom=6 + fields.groups.shape[1],
        T=T,
        progress=progress,
    )
    for row, name in enumerate(fields.units):
        require_resolved(
            moments.mean["bands"][row],
            trajectory,
            limit,
            f"the spectrum of '{name}'",
            T,
        )
    arguments = {
        "Q_max": Q_max, "dQ": dQ, "E_max": E_max, "window": f"{length * step:.10g} "
                                                            "ps", "taper": taper,
        "resolution_fwhm": resolution, "segments": moments.n, "subtract_mean": subtract_mean,
        **(fields.maker.arguments if fields.maker is not None else {}),
        "max_wavevectors_per_shell": max_wavevectors_per_shell, "precision": plan.precision,
    }  # fmt: skip
    temperature = sample_temperature(trajectory, T, moments.temperature)
    answers = {
        name: label(
            trajectory, _columns(moments, cut, row, name, units), {**plan.coordinates(), "E": ("E", energies)},
            operation="fluctuation_spectrum", arguments={"field": name, **arguments}, temperature=temperature,
            attrs={"field": name, **window_attrs(length, step, taper, moments.n)},
            found=trajectory.motion(moments.mean["drift"] / step, length * step),
        )
        for row, (name, units) in enumerate(fields.units.items())
    }  # fmt: skip
    return xr.DataTree.from_dict(answers) if several else next(iter(answers.values()))


def _columns(
    moments: Moments, cut: Segments, row: int, name: str, units: str
) -> dict[str, Column]:
    square = parse_unit(units) ** 2
    plain, density = format_unit(square), format_unit(square / parse_unit("meV"))
    values = {
        key: mean[row]
        for key, mean in moments.mean.items()
        if key not in ("bands", "drift")
    }
    if not (values["phi_Q"] > 0).all():
        raise QuantityError(
            f"'{name}' does not fluctuate",
            reason="its values are those of its mean at every time",
            fix="pass a field that changes, or subtract_mean=False for one that does "
            "not",
        )
    stds = {key: moments.std(key, cut.correlation) for key in values}

    def column(
        key: str, dims: tuple[str, ...], unit: str, quantity: str | None, text: str = ""
    ) -> Column:
        std = stds[key]
        attrs = {"long_name": text} if text else {}
        return Column(
            dims, values[key], None if std is None else std[row], unit, quantity, attrs
        )

    # A ratio of means; the mean of the segments' ratios, which gives its scatter, would
    # be biased.
    values["Omega"] = values["phi"] / values["phi_Q"][:, None]
    return {
        "Omega": column(
            "Omega", ("Q", "E"), "1/meV", "normalized_fluctuation_spectrum"
        ),
        "phi": column("phi", ("Q", "E"), density, "fluctuation_spectrum"),
        "phi_Q": column("phi_Q", ("Q",), plain, "static_fluctuation", "φ(Q, t = 0)"),
        "chi": column("chi", ("E",), density, "local_fluctuation_spectrum"),
        "variance": column(
            "variance", (), plain, None, "mean-square fluctuation of an atom"
        ),
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
    def make(
        cls,
        data: xr.Dataset,
        trajectory: Trajectory,
        fields: list[Any],
        cutoff: Any,
        reference: Any,
    ) -> _Fields:
        names = [f for f in fields if isinstance(f, str)]
        maker = (
            FieldMaker.make(data, trajectory, names, cutoff, reference)
            if names or not fields
            else None
        )
        units = {name: FIELDS[name].units for name in names}
        widths = {
            name: len(_components(name, np.zeros((1, 1, 3, 3)))) for name in names
        }
        parts: list[Any] = []
        for array in (f for f in fields if not isinstance(f, str)):
            if not isinstance(array, xr.DataArray):
                raise QuantityError(
                    f"a field is a {type(array).__name__}",
                    reason="it is a name or labelled numbers",
                    fix="xarray.DataArray(values, dims=('time', 'atom'), "
                    "attrs={'units': '1'})",
                )
            name = str(array.name or f"field_{len(parts)}")
            if name in units:
                raise QuantityError(
                    f"two fields are named '{name}'",
                    reason="answers go by name",
                    fix="rename one",
                )
            units[name] = require_units(array, f"'{name}'", "1")
            parts.append(_given(trajectory, name, array))
            widths[name] = parts[-1].shape[1]
        groups = np.repeat(np.eye(len(widths)), list(widths.values()), axis=1)
        return cls(
            maker, np.concatenate(parts, axis=1) if parts else None, units, groups
        )


def _components(name: str, values: np.ndarray) -> list[np.ndarray]:
    """Return the numbers of a field whose squares add up to its double contraction."""
    if name == "shear_strain":
        # Five in an orthonormal basis of the traceless symmetric tensors.
        xx, yy, zz = (values[..., a, a] for a in range(3))
        diagonal = [(xx - yy) / np.sqrt(2), (2 * zz - xx - yy) / np.sqrt(6)]
        return diagonal + [
            values[..., a, b] * np.sqrt(2) for a, b in ((0, 1), (0, 2), (1, 2))
        ]
    if FIELDS[name].is_tensor:
        return [values[..., a, b] for a in range(3) for b in range(3)]
    return [values]


def _given(trajectory: Trajectory, name: str, array: xr.DataArray) -> Any:
    """Put the user's field in the order (time, component, atom), or say why it is none."""
    if not {"time", "atom"} <= set(array.dims) or array.dtype.kind not in "fiu":
        raise QuantityError(
            f"the field '{name}' is over {array.dims}, of type {array.dtype}",
            reason="it is real numbers over time and atom, and components if it has "
            "any",
            fix=f"{name}.rename(...) its dimensions to 'time' and 'atom'",
        )
    sizes = (trajectory.n_frames, trajectory.n_atoms)
    if (array.sizes["time"], array.sizes["atom"]) != sizes:
        raise CoordinateError(
            f"the field '{name}' has {array.sizes['time']} times and "
            f"{array.sizes['atom']} atoms",
            reason=f"the trajectory has {sizes[0]} and {sizes[1]}",
            fix="select the same frames and atoms of both",
        )
    if "time" in array.coords and "time" in trajectory.source.coords:
        own, other = array["time"], trajectory.source["time"]
        if own.attrs.get("units") == other.attrs.get("units") and not np.allclose(
            own, other, rtol=1e-9, atol=1e-9
        ):
            raise CoordinateError(
                f"the times of the field '{name}' are not those of the trajectory",
                reason="they would be correlated with the positions of other moments",
                fix=f"{name} = {name}.sel(time=traj.time)",
            )
    components = [d for d in array.dims if d not in ("time", "atom")]
    ordered = array.transpose("time", *components, "atom").data
    return ordered.reshape(sizes[0], -1, sizes[1])


def _values(block: Block, fields: _Fields, dtype: Any = float) -> np.ndarray:
    """Return all components of the fields of a block, shape (n_frames, n_components, n_atoms)."""
    n_frames = len(block.position)
    whole: np.ndarray | None = None
    # A few frames at a time: tensors on the way take more than what is kept.
    for first in range(0, n_frames, _FRAMES):
        part = block.part(first, min(first + _FRAMES, n_frames))
        columns = []
        if fields.maker is not None:
            columns += [
                c
                for name, values in fields.maker(part).items()
                for c in _components(name, values)
            ]
        own = [np.stack(columns, axis=1)] if columns else []
        given = [] if part.field is None else [np.asarray(part.field, dtype=float)]
        values = np.concatenate([*own, *given], axis=1)
        if not np.isfinite(values.sum()):
            frame, component, atom = (
                int(i[0]) for i in np.nonzero(~np.isfinite(values))
            )
            name = list(fields.units)[int(np.argmax(fields.groups[:, component]))]
            raise QuantityError(
                f"'{name}' is {values[frame, component, atom]} at atom {atom} in "
                f"frame {part.first + frame}",
                reason="correlations need a number there; an atom without neighbors "
                "has no mean distance",
                fix="raise cutoff=, or leave those atoms or frames out",
            )
        if whole is None:
            whole = np.empty((n_frames, *values.shape[1:]), dtype=dtype)
        whole[first : first + len(values)] = (
            values if fields.mean is None else values - fields.mean
        )
    assert whole is not None
    return whole


def _sum_of_values(block: Block, fields: _Fields) -> dict[str, np.ndarray]:
    return {"sum": _values(block, fields).sum(axis=0)}


@dataclass(frozen=True)
class _Held:
    """Weights of a block that are computed already."""

    values: np.ndarray

    def __call__(self, block: Block) -> Iterator[np.ndarray]:
        return iter(self.values)


@dataclass(frozen=True)
class _Fluctuations:
    """What is answered for the segments of a block."""

    fields: _Fields
    taper: np.ndarray
    cosines: np.ndarray
    bands: np.ndarray
    precision: Precision

    def __call__(
        self, block: Block, starts: list[int], shells: Shells
    ) -> Mapping[str, np.ndarray]:
        # All frames of the block are held: in the precision that their densities will
        # have.
        values = _values(
            block, self.fields, np.float32 if self.precision == "single" else float
        )
        norm = (self.taper**2).sum() * values.shape[2]
        phi = np.zeros(
            (len(starts), len(self.fields.groups), shells.Q.size, self.taper.size)
        )
        # One at a time: slabs of wave vectors are as thick as memory lets them be.
        for component, share in enumerate(self.fields.groups.T):
            task = Task(
                self.taper, _Held(values[:, [component]]), 1, pairs, self.precision
            )
            phi += (
                share[:, None, None]
                * segment_correlations(block, starts, task, shells)
                / norm
            )
        chi = self._local(values, starts) / norm
        spectra = phi @ self.cosines
        return {
            "phi": spectra,
            "phi_Q": phi[..., 0],
            "Omega": spectra / np.where(phi[..., :1] > 0, phi[..., :1], np.nan),
            "chi": chi @ self.cosines,
            "variance": chi[..., 0],
            "bands": np.concatenate(
                [phi @ self.bands, (chi @ self.bands)[:, :, None]], axis=2
            ),
            "drift": block.drift(starts, self.taper.size),
        }

    def _local(self, values: np.ndarray, starts: list[int]) -> np.ndarray:
        """Correlate every atom with itself, shape (n_segments, n_fields, n_lags)."""
        length = self.taper.size
        n_fft = scipy.fft.next_fast_len(2 * length - 1, real=True)
        power = np.zeros((len(starts), values.shape[1], n_fft // 2 + 1))
        for number, start in enumerate(starts):
            for component in range(values.shape[1]):
                series = values[start : start + length, component] * self.taper[:, None]
                spectra = scipy.fft.rfft(series, n=n_fft, axis=0, overwrite_x=True)
                power[number, component] = (spectra.real**2 + spectra.imag**2).sum(
                    axis=1
                )
        return np.asarray(
            scipy.fft.irfft(self.fields.groups @ power, n=n_fft, axis=-1)[..., :length]
        )
