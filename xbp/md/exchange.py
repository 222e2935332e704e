"""Trajectories and spectra of other packages: ASE, MDAnalysis, dynasor; both ways."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.construct import new_dataset
from xbp.core.errors import QuantityError, kind_of, require
from xbp.core.grid import require_same_grid
from xbp.core.guards import choose, not_used, require_kind
from xbp.core.operation import operation
from xbp.md.objects import ASE_SPEED, TIMES
from xbp.md.open import open_trajectory
from xbp.md.trajectory import read_trajectory

__all__ = ["from_ase", "from_dynasor", "from_mdanalysis", "to_ase", "to_mdanalysis"]


def from_ase(atoms: Any, **options: Any) -> xr.Dataset:
    """Make a trajectory of ASE's Atoms.

    Parameters
    ----------
    atoms : ase.Atoms or sequence of ase.Atoms
        Frames of the same atoms.
    **options
        As for `open_trajectory`: `time_between_frames` for several, `cell`, `elements`
        and `masses` where they are not those of the Atoms.

    Returns
    -------
    xarray.Dataset
        As from `open_trajectory`.

    Raises
    ------
    QuantityError, UnitsError
        If the objects are no Atoms, or lack what was not given.

    Examples
    --------
    >>> import ase, xbp  # doctest: +SKIP
    >>> xbp.md.from_ase(ase.Atoms("Cu", cell=[3, 3, 3]))  # doctest: +SKIP
    """
    return _opened(atoms, "get_positions", "Atoms of ASE", options)


def from_mdanalysis(universe: Any, **options: Any) -> xr.Dataset:
    """Make a trajectory of a Universe of MDAnalysis; frames are read when computed.

    Parameters
    ----------
    universe : MDAnalysis.Universe
        In Å and ps, as MDAnalysis converts what it reads.
    **options
        As for `open_trajectory`: `time_between_frames` where the format of the
        trajectory does not state times (that of `to_mdanalysis` does), `elements` by
        name or type, `cell`.

    Returns
    -------
    xarray.Dataset
        As from `open_trajectory`.

    Raises
    ------
    QuantityError, UnitsError
        If it is not a Universe, or an argument is missing.

    Examples
    --------
    >>> import xbp
    >>> gas = xbp.md.models.ideal_gas(
    ...     5, 4, cell=10, T=300, mass=40, time_step=0.02, rng=1)
    >>> back = xbp.md.from_mdanalysis(gas.bp.to_mdanalysis())
    >>> back.time.values
    array([0.  , 0.02, 0.04, 0.06])
    """
    return _opened(universe, "trajectory", "a Universe of MDAnalysis", options)


#: What a Sample of dynasor calls quantities, and the dimension beside Q.
_OF_SAMPLE: Final = {
    "dynamic_structure_factor": ("Sqw", "omega"),
    "intermediate_scattering_function": ("Fqt", "time"),
    "static_structure_factor": ("Sq", ""),
}


def from_dynasor(
    data: Any,
    quantity: str | None = None,
    *,
    part: Literal["coherent", "incoherent"] = "coherent",
    partials: bool = False,
    T: Any = None,
    **options: Any,
) -> xr.Dataset:
    """Make a trajectory of a Trajectory of dynasor, or a signal of its Sample.

    Parameters
    ----------
    data : dynasor.Trajectory or dynasor.sample.Sample
        A Trajectory can be read once.
    quantity : {"dynamic_structure_factor", "intermediate_scattering_function",
    "static_structure_factor"}, optional
        Of a Sample; by default the first that it has.
    part : {"coherent", "incoherent"}
        All pairs of atoms, or each atom with itself.
    partials : bool
        Every pair of elements along ``pair``, as of `dynamic_structure_factor` with
        ``normalization="number"``: dynasor counts AB and BA together, so that of unlike
        atoms is halved, and its coordinate ``weight`` is 2.
    T : scalar with units, optional
        Temperature (bare: K).
    **options
        Of a Trajectory, as for `open_trajectory`: `time_between_frames`.

    Returns
    -------
    xarray.Dataset
        Of a Sample S(Q,E) (1/meV; E = ħω, S = S(Q,ω)/2πħ), F(Q,t) or S(Q), averaged
        over wave vectors of one modulus, statistics "classical".

    Raises
    ------
    QuantityError
        If it is neither, or does not have the quantity.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> sample = SimpleNamespace(
    ...     available_correlation_functions=["Sq"], Sq=[[1.0], [1.2], [0.8]],
    ...     q_points=[[1.0, 0, 0], [0, 1.0, 0], [0, 0, 2.0]])
    >>> from_dynasor(sample, T="300 K").Sq.values
    array([1.1, 0.8])
    """
    if hasattr(data, "atomic_indices"):
        not_used("data are a Trajectory, not a Sample", quantity=quantity, T=T)
        return _opened(data, "frame_step", "a Trajectory of dynasor", options)
    if not hasattr(data, "available_correlation_functions"):
        raise QuantityError(f"data is {kind_of(data)}, not an object of dynasor")
    for name, value in options.items():
        not_used("data are a Sample, not a Trajectory", **{name: value})
    endings = {"coherent": "_coh", "incoherent": "_incoh"}
    ending = endings[choose(part, endings, "part")]
    there = list(data.available_correlation_functions)
    # Static samples have no ending.
    names = {
        name: next((k for k in (own + ending, own) if k in there), "")
        for name, (own, _) in _OF_SAMPLE.items()
    }
    found = [name for name, key in names.items() if key]
    if not found:
        raise QuantityError(
            f"the Sample has no {part} spectrum; it has {', '.join(there) or 'none'}"
        )
    chosen = found[0] if quantity is None else choose(quantity, found, "quantity")
    key, axis = names[chosen], _OF_SAMPLE[chosen][1]
    pairs = [k.removeprefix(f"{key}_") for k in there if k.startswith(f"{key}_")]
    keys = [f"{key}_{pair}" for pair in pairs] if partials else [key]
    if not keys:
        raise QuantityError(f"the Sample has no partials of {key}")
    Q, index, count = _moduli(data)
    values = []
    for one in keys:
        array = np.asarray(getattr(data, one), dtype=float).reshape(index.size, -1)
        mean = np.zeros((Q.size, array.shape[1]))
        np.add.at(mean, index, array)
        values.append(mean / count[:, None])
    stacked = np.stack(values)
    coords: dict[str, Any] = {"Q": (Q, "1/angstrom")}
    if axis == "omega":
        # ħω of rad/fs, and per E instead of per ω, with 1/2π.
        coords["E"] = (np.asarray(data.omega) * 1e3 * constants.HBAR, "meV")
        stacked = stacked * 1e-3 / constants.PLANCK
    elif axis == "time":
        coords["time"] = (np.asarray(data.time) * 1e-3, "ps")
    else:
        stacked = stacked[:, :, 0]
    labels = [pair.replace("_", "-") for pair in pairs]
    weight = np.array([1.0 + (len(set(p.split("_"))) == 2) for p in pairs])
    if partials:
        if part == "incoherent":
            weight = np.ones(len(pairs))
        stacked = stacked / weight.reshape(-1, *[1] * (stacked.ndim - 1))
        coords = {"pair": labels, **coords}
    else:
        stacked = stacked[0]
    ds = new_dataset(
        chosen,
        stacked,
        units="1/meV" if axis == "omega" else "1",
        coords=coords,
        temperature=T,
        statistics="classical",
        attrs={"source": "dynasor Sample"},
    )
    if partials:
        ds = ds.assign_coords(weight=("pair", weight, {"units": "1"}))
    return ds


def _moduli(sample: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the moduli of wave vectors, which each has, and how many each is of."""
    if hasattr(sample, "q_norms"):
        norms = np.asarray(sample.q_norms, dtype=float)
    else:
        norms = np.linalg.norm(np.asarray(sample.q_points, dtype=float), axis=-1)
    _, first, index, count = np.unique(
        norms.round(6), return_index=True, return_inverse=True, return_counts=True
    )
    return norms[first], index, count


def _opened(
    data: Any, ability: str, wanted: str, options: dict[str, Any]
) -> xr.Dataset:
    first = data[0] if isinstance(data, list | tuple) and data else data
    if not hasattr(first, ability):
        raise QuantityError(f"{type(first).__name__} is not {wanted}")
    return open_trajectory(data, **options)


@operation(takes="trajectory")
def to_ase(data: xr.Dataset, fields: xr.Dataset | None = None) -> list[Any]:
    """Make ASE's Atoms of the frames of a trajectory.

    Parameters
    ----------
    data : xarray.Dataset
        A trajectory with elements; dask arrays are computed.
    fields : xarray.Dataset, optional
        Variables over time and atom, as from `local_fields`, of the same frames. They
        become arrays of the Atoms, which ``ase.io.write("fields.extxyz", atoms)``
        writes as columns for OVITO; of a tensor nine, xx, xy, xz, yx, ….

    Returns
    -------
    list of ase.Atoms
        One for each frame, with positions, cell, periodic sides, masses, and velocities
        in ASE's unit; ``info["time_ps"]`` is the time. `open_trajectory` takes them
        back, with `time_between_frames`.

    Raises
    ------
    MissingDependencyError
        If ASE is not installed.
    QuantityError
        If the trajectory has no elements, or they are no elements of ASE; if fields are
        not over the same frames and atoms.

    Examples
    --------
    >>> import xbp
    >>> gas = xbp.md.models.ideal_gas(
    ...     5, 4, cell=10, T=300, mass=40, time_step=0.02, rng=1)
    >>> gas.bp.to_ase()[0].get_chemical_formula()
    'Ar5'
    >>> speed = (gas.velocity**2).sum("xyz").to_dataset(name="v2")
    >>> sorted(gas.bp.to_ase(speed)[0].arrays)
    ['masses', 'momenta', 'numbers', 'positions', 'v2']
    """
    ase = require("ase", "make Atoms of ASE", "formats")
    trajectory = read_trajectory(data)
    symbols = trajectory.elements().tolist()
    length, speed = trajectory.units
    digits = str(data.attrs.get("periodic", "111"))
    columns = {} if fields is None else _columns(data, fields)
    # All at once: of dask arrays each frame would compute its whole chunk.
    position = np.asarray(trajectory.position, dtype=float) * length
    velocity = None
    if trajectory.velocity is not None:
        velocity = np.asarray(trajectory.velocity, dtype=float) * speed
    images = []
    for number, cell in enumerate(trajectory.cells):
        r, sides = position[number], [d == "1" for d in digits]
        try:
            atoms = ase.Atoms(symbols, r, cell=cell, pbc=sides)
        except KeyError as error:
            raise QuantityError(
                f"ASE does not know the element {error}",
                fix="traj.assign_coords(element=('atom', symbols))",
            ) from None
        if trajectory.mass is not None:
            atoms.set_masses(trajectory.mass)
        if velocity is not None:
            atoms.set_velocities(velocity[number] / ASE_SPEED)
        atoms.info["time_ps"] = float(trajectory.time[number])
        for name, column in columns.items():
            atoms.set_array(name, column[number])
        images.append(atoms)
    return images


def _columns(traj: xr.Dataset, fields: xr.Dataset) -> dict[str, np.ndarray]:
    """Return fields as arrays (frames, atoms) or, of tensors, (frames, atoms, 9)."""
    require_kind(
        fields, xr.Dataset, "fields", "a Dataset, as traj.bp.local_fields(...) returns"
    )
    found = {}
    for name, field in fields.data_vars.items():
        if not {"time", "atom"} <= {*field.dims}:
            raise QuantityError(
                f"'{name}' has the dimensions {tuple(field.dims)}, not time and atom",
                fix=f"fields.drop_vars({str(name)!r})",
            )
        require_same_grid(traj.position, field, ("time", "atom"))
        values = field.transpose("time", "atom", ...).values
        n_frames, n_atoms, *parts = values.shape
        found[str(name)] = values.reshape(n_frames, n_atoms, -1) if parts else values
    return found


@operation(takes="trajectory")
def to_mdanalysis(data: xr.Dataset) -> Any:
    """Make a Universe of MDAnalysis, in memory, of a trajectory.

    Parameters
    ----------
    data : xarray.Dataset
        A trajectory in equal steps; dask arrays are computed.

    Returns
    -------
    MDAnalysis.Universe
        With elements as elements, types and names, masses, cells, and velocities;
        MDAnalysis keeps single precision.

    Raises
    ------
    MissingDependencyError
        If MDAnalysis is not installed.
    CoordinateError
        If the frames are not equally spaced.

    Examples
    --------
    >>> import xbp
    >>> gas = xbp.md.models.ideal_gas(
    ...     5, 4, cell=10, T=300, mass=40, time_step=0.02, rng=1)
    >>> gas.bp.to_mdanalysis().trajectory.n_frames
    4
    """
    mda = require("MDAnalysis", "make a Universe", "formats")
    triclinic = mda.lib.mdamath.triclinic_box
    trajectory = read_trajectory(data)
    length, speed = trajectory.units
    universe = mda.Universe.empty(trajectory.n_atoms, trajectory=False)
    if trajectory.element is not None:
        for name in ("elements", "types", "names"):
            universe.add_TopologyAttr(name, trajectory.element.tolist())
    if trajectory.mass is not None:
        universe.add_TopologyAttr("masses", trajectory.mass)
    boxes = np.array([triclinic(*cell) for cell in trajectory.cells])
    options: dict[str, Any] = {"dimensions": boxes}
    if trajectory.velocity is not None:
        options["velocities"] = np.asarray(trajectory.velocity) * speed
    if trajectory.n_frames > 1:
        options["dt"] = trajectory.time_step
    positions = np.asarray(trajectory.position, dtype=float) * length
    universe.load_new(positions, format="MEMORY", order="fac", **options)
    # MDAnalysis counts frames in memory, 1 ps apart, unless it was told otherwise.
    setattr(universe.trajectory, TIMES, trajectory.time)
    return universe
