"""What a call asks of a trajectory: wave vectors, weights, and a labelled answer.

The arguments of an operation go through it as one mapping, the locals of its first
line: so they are written once, in its signature, and recorded once, in the history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.guards import (
    choose,
    not_used,
    require_flag,
    require_memory,
    require_positive,
    require_whole,
)
from xbp.core.schema import COORDINATES, DATASET_LABELS, QUANTITIES
from xbp.core.signal import extend_history, label_std
from xbp.core.status import Diagnostic, diagnosed
from xbp.core.units import is_one_of
from xbp.md.moments import Column, Moments
from xbp.md.run import delayed
from xbp.md.trajectory import Trajectory, read_trajectory, sample_temperature
from xbp.md.wavevectors import Shells, allowed_wavevectors
from xbp.md.weights import (
    Mixing,
    Weighting,
    check_normalization,
    joined,
    mix_rows,
    weighting,
)
from xbp.md.window import Window

__all__ = [
    "Part",
    "Plan",
    "Precision",
    "answer",
    "read_call",
]

Part = Literal["coherent", "incoherent", "total"]
Precision = Literal["single", "double"]


@dataclass(frozen=True)
class Plan:
    """Wave vectors of a trajectory, and what is made of its densities there.

    Attributes
    ----------
    trajectory : Trajectory
    shells : Shells
    list_shells : callable
        Makes them again: workers list the wave vectors, so that they need not be sent.
    weighting : Weighting
    mixing : Mixing
    partials : bool
    origin_step : int or None
        Frames between the time origins of the self part; None for all pairs of atoms.
    precision : {"single", "double"}
    single : Weighting, optional
        Of the self part of a total, whose rows of correlations follow those of all
        pairs.
    """

    trajectory: Trajectory
    shells: Shells
    list_shells: Callable[[], Shells]
    weighting: Weighting
    mixing: Mixing
    partials: bool
    origin_step: int | None
    precision: Precision
    single: Weighting | None = None

    @classmethod
    def make(
        cls,
        trajectory: Trajectory,
        given: Mapping[str, Any],
        length: int = 1,
        *,
        static: bool = False,
    ) -> Plan:
        """Check the arguments of a call, and list the wave vectors.

        An argument that the operation does not have is that of the total over all
        pairs of atoms. `length` is the number of frames of a segment.
        """
        if is_one_of(given.get("part"), "total"):
            return cls._of_both(trajectory, given, length, static=static)
        counts = {
            name: None if given.get(name) is None else require_whole(given[name], name)
            for name in ("max_wavevectors_per_shell", "origin_step")
        }
        part: Part = choose(given.get("part", "coherent"), Part, "part")
        self_part = part == "incoherent"
        partials = require_flag(given.get("partials", False), "partials")
        normalization = check_normalization(
            given.get("normalization", "ashcroft-langreth"),
            partials=partials,
            static=static,
        )
        list_shells = partial(
            allowed_wavevectors,
            trajectory.mean_cell,
            require_positive(given["Q_max"], "Q_max", "1/angstrom"),
            require_positive(given["dQ"], "dQ", "1/angstrom"),
            max_per_shell=counts["max_wavevectors_per_shell"],
            repeats=trajectory.repeats,
        )
        shells = list_shells()
        if counts["max_wavevectors_per_shell"] is not None:
            list_shells = partial(replace, shells)  # few of very many: they are sent
        if not self_part:
            not_used("all pairs of frames are used", origin_step=counts["origin_step"])
        else:  # by default 16 origins, which are averages enough
            step = counts["origin_step"] or max(1, length // 16)
            counts["origin_step"] = min(step, length)
        found = weighting(
            trajectory,
            given.get("weights", "unit"),
            shells.Q,
            by_element=partials,
            squared=self_part,
            b=given.get("b"),
        )
        mixing = mix_rows(found, partials, normalization, self_part, trajectory.n_atoms)
        require_memory(  # four segments of a task
            4.0 * mixing.mix.shape[1] * shells.Q.size * length,
            "the correlations",
            fix="raise dQ=, lower Q_max= or window=",
        )
        precision: Precision = choose(given["precision"], Precision, "precision")
        return cls(
            trajectory, shells, list_shells, found, mixing, partials,
            counts["origin_step"], precision,
        )  # fmt: skip

    @classmethod
    def _of_both(
        cls,
        trajectory: Trajectory,
        given: Mapping[str, Any],
        length: int,
        **static: Any,
    ) -> Plan:
        """Put coherent and incoherent scattering on one scale, for neutrons."""
        choose(
            given.get("weights"),
            ("neutron",),
            "weights",
            reason="part='total' needs it",
        )
        own = {**given, "part": "coherent", "origin_step": None}
        coherent = cls.make(trajectory, own, length, **static)
        single = cls.make(trajectory, {**given, "part": "incoherent"}, length, **static)
        norms = coherent.weighting.norm, single.weighting.norm
        mixing = joined(
            (coherent.mixing, single.mixing),
            tuple(norm / sum(norms) for norm in norms),
            absolute=given.get("normalization") == "number",
        )
        return replace(
            coherent,
            mixing=mixing,
            origin_step=single.origin_step,
            single=single.weighting,
        )

    @property
    def shells_task(self) -> Any:
        """The wave vectors as a task."""
        return delayed(self.list_shells)()

    @property
    def powers(self) -> Any:
        """Rows of the answer that are never negative: the total, or like elements."""
        labels = self.mixing.labels
        like = [
            row for row, name in enumerate(labels) if len(set(name.split("-"))) == 1
        ]
        return like if labels else slice(None)

    def column(
        self,
        moments: Moments,
        key: str,
        dims: tuple[str, ...],
        units: str,
        quantity: str,
        **attrs: Any,
    ) -> Column:
        """Label one of the answers; without partials it has no dimension ``pair``."""
        dims = ("pair", *dims) if self.partials else dims
        row = None if self.partials else 0
        return moments.column(key, dims, units, quantity, row=row, attrs=attrs)

    def coordinates(self) -> dict[str, Any]:
        """Return Q (the mean over each shell), its bounds, and the partials."""
        shells = self.shells
        coords: dict[str, Any] = {
            "Q": ("Q", shells.Q, {"bounds": "Q_bnds"}),
            "Q_bnds": (("Q", "bnds"), shells.edges),
            "n_wavevectors": (
                "Q",
                shells.n_wavevectors,
                {"units": "1", "long_name": "wave vectors in the shell, ±Q"},
            ),
        }
        if self.partials:
            share = self.mixing.share
            coords["pair"] = ("pair", np.array(self.mixing.labels))
            coords["weight"] = (
                ("pair", "Q")[: share.ndim],
                share,
                {"units": "1", "long_name": "share of the partial in the total"},
            )
        return coords


def read_call(given: Mapping[str, Any]) -> Trajectory:
    """Read the trajectory of a call, and check ``T`` before anything is computed."""
    trajectory = read_trajectory(given["data"])
    sample_temperature(trajectory, given["T"])
    require_flag(given["progress"], "progress")
    return trajectory


def answer(
    operation: str,
    trajectory: Trajectory,
    moments: Moments,
    columns: Mapping[str, Column],
    coords: Mapping[str, Any],
    given: Mapping[str, Any],
    *,
    window: Window | None = None,
    velocity: bool = False,
    doubts: Sequence[Diagnostic] = (),
    attrs: Mapping[str, Any] = {},
    **recorded: Any,
) -> xr.Dataset:
    """Label the results of an operation.

    Parameters
    ----------
    operation : str
    trajectory : Trajectory
    moments : Moments
        With ``drift``, what the centre of mass moves from frame to frame (Å), where
        there is a window.
    columns, coords : mapping
        Variables and coordinates.
    given : mapping
        The arguments of the call, for the history: numbers per atom as "array", the
        window in ps.
    window : Window, optional
        Whose length, taper and number later steps read from the attributes.
    velocity : bool
        Whether the spectra are of velocities.
    doubts : sequence of Diagnostic
    attrs : mapping
        Further attributes of the Dataset.
    **recorded : object
        Further entries of the history.
    """
    found: dict[str, Any] = {}
    attributes = dict(attrs)
    if window is not None:
        drift = moments.mean["drift"] / window.step
        found |= trajectory.motion(drift, window.time, velocity=velocity)
        time = f"{window.time:.10g} ps"
        attributes |= {"window": f"{time}, {window.shape}", "segments": moments.n}
        recorded |= {"window": time, "dE": None}
    found |= diagnosed(found, *moments.doubts(), *doubts)
    if trajectory.dimension == 2:
        found["dimension"] = 2
    elif "Q" in coords and not trajectory.repeats.all():
        sides = " and ".join("abc"[i] for i in np.flatnonzero(~trajectory.repeats))
        text = f"the box is open along {sides}: only wave vectors normal to it are used"
        found |= diagnosed(found, Diagnostic("open_sides", "warning", text))
    source, sample = trajectory.source.attrs, {}
    if trajectory.element is not None:
        sample = {"composition": composition(trajectory.element)}
    kept = {
        name: "array" if np.ndim(getattr(value, "data", value)) else value
        for name, value in given.items()
        if name not in ("data", "T", "progress", *recorded)
    }
    arguments = {**kept, "segments": moments.n, **recorded}
    history = extend_history(source.get("history"), operation, arguments)
    ds = xr.Dataset(coords=dict(coords))
    if window is not None and "E" in coords:
        ds = ds.assign_coords(resolution_fwhm=window.fwhm)
    if "Q" in coords:
        ds = ds.assign_coords(box_Q_min=trajectory.lowest_wavevector)
    for name, column in columns.items():
        labels: dict[str, Any] = {"units": column.units}
        if column.quantity is not None:
            text = QUANTITIES[column.quantity].label
            labels |= {"quantity": column.quantity, "long_name": text}
            labels |= {"statistics": "classical", **sample, **found}
            # Segments of one trajectory see the same modes.
            labels |= {"origin": "simulation", "n_atoms": trajectory.n_atoms}
        labels |= {**column.attrs, "history": history}
        ds[name] = xr.Variable(column.dims, column.values, labels)
        if column.std is not None:
            ds[f"{name}_std"] = xr.Variable(column.dims, column.std)
            label_std(ds, name)
    for dim, (units, text) in COORDINATES.items():
        if dim in ds.coords:
            ds[dim].attrs = {"units": units, "long_name": text, **ds[dim].attrs}
    temperature = sample_temperature(trajectory, given["T"], moments.temperature)
    if temperature is not None:
        ds = ds.assign_coords(temperature=temperature)
        found |= diagnosed(found, *trajectory.doubts_about(temperature))
    ds.attrs = {**DATASET_LABELS}
    ds.attrs |= {key: source[key] for key in ("title", "source") if key in source}
    ds.attrs |= {**sample, **attributes, **found, "history": history}
    return ds


def composition(elements: np.ndarray) -> str:
    """Return the chemical formula of a box.

    Examples
    --------
    >>> composition(np.array(["Si", "O", "O"] * 40))
    'SiO2'
    >>> composition(np.array(["Zr"] * 700 + ["Cu"] * 301))
    'Zr69.9Cu30.1'
    """
    names, first, counts = np.unique(elements, return_index=True, return_counts=True)
    least = counts // np.gcd.reduce(counts)
    parts = least if least.sum() <= 100 else (100 * counts / counts.sum()).round(1)
    return "".join(
        f"{names[i]}{'' if parts[i] == 1 else format(parts[i], 'g')}"
        for i in np.argsort(first)
    )
