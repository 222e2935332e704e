"""The registry of operations: what each function takes and returns.

From it follow the methods of the accessor, tab completion, the "next" steps that
``print(data.bp)`` shows, the error for data of the wrong kind, and the pages of the
reference.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import xarray as xr

from xbp.core.errors import (
    RangeError,
    XbpError,
    with_article,
)
from xbp.core.index import MODULES, Where

__all__ = [
    "CARRIER",
    "COMMON",
    "RESULTS",
    "Operation",
    "all_operations",
    "applicable",
    "call_of",
    "find_operation",
    "kinds_of",
    "kinds_text",
    "next_operations",
    "next_steps",
    "operation",
    "registered_operations",
    "step_to",
    "steps_after",
]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Operation:
    """A function whose first argument is data, as a method of ``.bp``.

    Attributes
    ----------
    function : callable
        The function itself.
    takes : tuple of str
        Quantities or tables of results that it accepts; also "trajectory", "signal"
        for every quantity, and "table" for every table of results.
    gives : str or None
        Quantity or table that it returns; None if it returns the kind of data that was
        passed, or writes a file.
    over : str
        Which of the dimensions Q and E it needs: "", "E", "Q" or "QE".
    step : float or None
        Its place in the order of suggested next steps; None if it is not suggested.
    suggested : tuple of str
        The members of `takes` for which it is suggested.
    when : callable or None
        Returns whether to suggest it for a given signal or trajectory.
    where : {"data", "plot", "study"}
        The accessor it is a method of: ``.bp``, ``.bp.plot``, or ``.bp`` of a study.
    suggests : str
        The arguments of the call that is suggested, if others would not do.
    needs : tuple of str
        What it asks for where the data it is suggested for do not carry it, such as
        "temperature"; ``print(data.bp)`` lists what is missing.
    """

    function: Callable[..., Any]
    takes: tuple[str, ...]
    gives: str | None
    over: str
    step: float | None
    suggested: tuple[str, ...]
    when: Callable[[Any], bool] | None
    where: Where
    needs: tuple[str, ...] = ()
    suggests: str = ""

    @property
    def name(self) -> str:
        """The name of the function and of the method."""
        return self.function.__name__

    @property
    def path(self) -> str:
        """The public path of the function, such as ``xbp.plot.cut``."""
        _, *packages, _ = self.function.__module__.split(".")
        public = packages if packages[0] in ("md", "plot", "study") else []
        return ".".join(("xbp", *public, self.name))

    @property
    def method(self) -> str:
        """The method as it is called on data, such as ``plot.cut``."""
        return f"plot.{self.name}" if self.where == "plot" else self.name

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        """The signature of the function."""
        return inspect.signature(self.function)

    def accepts(self, kinds: Collection[str]) -> bool:
        """Whether it takes data of these kinds; if none is known, it checks itself."""
        if not kinds:
            return self.takes != ("trajectory",)
        if not {*kinds}.isdisjoint(self.takes):
            return True
        signals = {*kinds} - {"trajectory", *RESULTS}
        return ("signal" in self.takes and bool(signals)) or (
            "table" in self.takes and not {*kinds}.isdisjoint(RESULTS)
        )

    @property
    def call(self) -> str:
        """The call as it is suggested, with an ellipsis for arguments it needs."""
        _, *others = self.signature.parameters.values()
        needed = any(
            p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
            for p in others
        )
        return f"{self.method}({self.suggests or ('…' if needed else '')})"

    def suits(self, data: Any) -> bool:
        """Whether to suggest it for this signal or trajectory."""
        return set(self.over) <= set(data.dims) and (
            self.when is None or self.when(data)
        )


#: Tables of results: ``Dataset.attrs["quantity"]``, and the columns that sum it up.
RESULTS: Final[Mapping[str, tuple[str, ...]]] = {
    "boson_peak": ("energy", "height", "width"),
    "dispersion": ("mean_energy", "slope", "chi2_reduced"),
    "scale_to_sq": ("pearson_r", "spearman_r", "scale"),
    "correlation_map": ("highest_r", "highest_r_energy", "pearson_r"),
    "fit_bqe": ("energy", "height", "width", "E_holds_low", "E_holds_high"),
    "detailed_balance": ("implied_temperature",),
    "debye_waller": ("u2", "explained"),
    "phonon_dispersion": ("energy", "width"),
    "box_phonon": ("energy", "Q"),
    "fit": (),
    "fit_elastic_line": ("energy", "fwhm", "height"),
    "fit_heat_capacity": ("energy", "energy_E", "gamma", "n_D", "n_E"),
    "sound_velocity": ("velocity", "debye_energy"),
    "ioffe_regel": ("energy",),
    "local_fields": (),
    "force_constants": (),
    "bloch_modes": (),
    "elastic_constants": ("bulk_modulus", "shear_modulus", "debye_energy"),
    "local_moduli": ("shear_modulus_mean", "shear_modulus_variance", "disorder"),
    "vibration_map": ("shear_overlap", "volumetric_overlap"),
    "fit_together": ("E_BP", "chi2_reduced", "BIC"),
    "compare_models": ("BIC", "E_BP"),
    "compare_fluctuations": ("E_BP", "chi_energy", "r_at_boson_peak"),
    "thermodynamics": ("temperature",),
    "harmonic_thermodynamics": ("temperature", "effective_temperature", "entropy"),
    "debye_temperature": ("theta",),
    "relaxation_time": ("tau",),
    "glass_transition": ("Tg",),
    "kinematic_limits": ("Q_min", "Q_max"),
    "neutron_weighted_dos": ("correction",),
    "compare": ("mean_energy", "discrepancy", "chi2", "p_value", "energy"),
}

#: End of the names of variables with common errors (`xbp.core.common_errors`), and the
#: attribute of a function with what calls it if the data have some.
COMMON: Final = "_std_common"
CARRIER: Final = "carrier_of_common_errors"
#: The operations of the modules imported so far, by accessor and name.
_REGISTERED: Final[dict[tuple[Where, str], Operation]] = {}


def operation(
    *,
    takes: str | tuple[str, ...],
    gives: str | None = None,
    over: str = "",
    step: float | None = None,
    suggested: str | tuple[str, ...] | None = None,
    when: Callable[[Any], bool] | None = None,
    where: Where = "data",
    needs: tuple[str, ...] = (),
    suggests: str = "",
) -> Callable[[F], F]:
    """Register a function; the arguments are the attributes of `Operation`.

    Returns
    -------
    callable
        A decorator that returns the function, through which common errors are carried
        if it is marked (`xbp.core.common_errors.carries_common_errors`), and in which
        an array that is larger than the memory is an xbp error, which names it and the
        arguments.

    Examples
    --------
    >>> find_operation("data", "to_bqe").gives, find_operation("data", "cut_E").call
    ('reduced_dos', 'cut_E(…)')
    """
    kinds = (takes,) if isinstance(takes, str) else takes
    some = (suggested,) if isinstance(suggested, str) else suggested

    def register(function: F) -> F:
        checked = _called(function)
        _REGISTERED[where, function.__name__] = Operation(
            checked,
            kinds,
            gives,
            over,
            step,
            some or kinds,
            when,
            where,
            needs,
            suggests,
        )
        return checked

    return register


def _called(function: F) -> F:
    """Return the function as users call it: common errors are carried through it."""
    carrier = function.__dict__.get(CARRIER)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        call: Callable[..., Any] = function
        if carrier is not None and any(
            str(name).endswith(COMMON)
            for one in (*args, *kwargs.values())
            if isinstance(one, xr.Dataset)
            for name in one.variables
        ):
            call = carrier
        try:
            return call(*args, **kwargs)
        except XbpError:
            raise
        except (MemoryError, ValueError) as error:
            # numpy's words for an array that no memory could hold
            beyond = ("Unable to allocate", "Maximum allowed", "array is too big")
            if not str(error).startswith(beyond):
                raise
            given = inspect.signature(function).bind(*args, **kwargs).arguments
            numbers = ", ".join(
                f"{name}={value!r}"
                for name, value in given.items()
                if isinstance(value, int | float | str)
            )
            what = str(error).partition(" and data type")[0]
            message = f"{function.__name__}({numbers}) needs more memory than available"
            fix = "use wider bins, a shorter range, or fewer points"
            raise RangeError(message, reason=what, fix=fix) from error

    return cast("F", called)


def find_operation(where: Where, name: str) -> Operation:
    """Return one operation, after importing the module that defines it."""
    importlib.import_module(f"xbp.{MODULES[where][name]}")
    return _REGISTERED[where, name]


def call_of(name: str) -> str:
    """Return how a method of data is called, as `Operation.call` shows it.

    Examples
    --------
    >>> call_of("boson_peak"), call_of("compare_models")
    ('boson_peak()', 'compare_models(…)')
    """
    return find_operation("data", name).call if name in MODULES["data"] else f"{name}()"


def registered_operations() -> list[Operation]:
    """Return the operations of the modules imported so far."""
    return list(_REGISTERED.values())


def all_operations() -> list[Operation]:
    """Return every operation, after importing all modules that define one."""
    return [find_operation(where, name) for where in MODULES for name in MODULES[where]]


def kinds_of(data: Any) -> dict[str, str]:
    """Return the quantities in data, each with the name of a variable of that quantity.

    Examples
    --------
    >>> import xbp
    >>> kinds_of(xbp.tutorial.open_dataset("zr46cu46al8_md")[["S", "Sq"]])
    {'dynamic_structure_factor': 'S', 'static_structure_factor': 'Sq'}
    """
    own = data.attrs.get("quantity")
    if isinstance(data, xr.DataArray):
        return {} if own is None else {str(own): str(data.name)}
    if isinstance(own, str) and own in RESULTS:
        return {own: ""}
    if (isinstance(own, str) and own == "trajectory") or "position" in data:
        return {"trajectory": "position"}
    return {
        str(attrs["quantity"]): str(name)
        for name in data.data_vars
        if "quantity" in (attrs := data.variables[name].attrs)
        and not str(name).endswith("_std")
    }


def applicable(data: Any, where: Where) -> Iterator[str]:
    """Return the names of the methods that accept data of this kind."""
    kinds = kinds_of(data)
    for one in all_operations():
        if one.where == where and one.accepts(kinds):
            yield one.name


def next_operations(data: Any, kind: str) -> list[Operation]:
    """Return the operations to suggest for data of one kind, in order."""
    signal = kind != "trajectory" and kind not in RESULTS
    found = [
        one
        for one in all_operations()
        if one.step is not None
        and (kind in one.suggested or (signal and "signal" in one.suggested))
        and one.suits(data)
    ]
    return sorted(found, key=lambda one: one.step or 0)


def next_steps(data: Any, kind: str) -> list[str]:
    """Return the methods to suggest for data of one kind, in order.

    Examples
    --------
    >>> import xbp
    >>> glass = xbp.tutorial.open_dataset("zr46cu46al8_md")
    >>> next_steps(glass.Sq, "static_structure_factor")
    ['.bp.to_radial_distribution(…)', '.bp.fit(…)', '.bp.plot.cut()']
    """
    return [f".bp.{one.call}" for one in next_operations(data, kind)]


def steps_after(table: xr.Dataset) -> tuple[str, ...]:
    """Return what can be called on a table of one fit or of many.

    Examples
    --------
    >>> status = xr.DataArray([["ok", "ok", "ok"]], dims=["sample", "Q"])
    >>> many = xr.Dataset({"status": status}, attrs={"quantity": "fit"})
    >>> steps_after(many), steps_after(many.isel(sample=0))
    (('.isel(sample=0).bp.plot.fit()',), ('.bp.plot.fit()',))
    >>> steps_after(many.isel(sample=0, Q=0))
    ('.bp.plot.fit(data)',)
    """
    kind = str(table.attrs.get("quantity"))
    if kind not in ("fit", "fit_elastic_line"):
        return tuple(next_steps(table, kind))
    sizes = table["status"].sizes
    if not sizes:
        return (".bp.plot.fit(data)",)
    # Drawn over the longest dimension, at one place along each other.
    *others, _ = sorted(sizes, key=lambda dim: sizes[dim])
    chosen = ", ".join(f"{dim}=0" for dim in sizes if dim in others)
    return (f"{chosen and f'.isel({chosen})'}.bp.plot.fit()",)


def step_to(
    given: object, wanted: Collection[str], data: xr.DataArray | None = None
) -> str | None:
    """Write the calls that convert a given quantity to a wanted one.

    Of `data` of that quantity, the first call is one that suits them.

    Examples
    --------
    >>> step_to("raman_intensity", ("reduced_dos",))
    "data.bp.to_reduced_raman() gives a 'reduced_dos'"
    >>> step_to("dynamic_structure_factor", ("boson_peak",))
    "data.bp.to_bqe().bp.boson_peak() gives a 'boson_peak'"
    """
    if given == "interference_function" and "static_structure_factor" in wanted:
        return "xbp.open_dataset(path, composition='SiO2').Sq"
    steps = sorted(
        (one for one in all_operations() if one.gives and one.step is not None),
        key=lambda one: one.step or 0,
    )
    # Whether a step suits a table is asked of its columns, which a single one lacks.
    some = data is not None and given not in RESULTS
    first = [
        one for one in steps if given in one.takes and (not some or one.suits(data))
    ]
    for goal in wanted:
        for one in first:
            if one.gives == goal:
                return f"data.bp.{one.call} gives {_article(goal)}"
    for goal in wanted:
        for two in (one for one in steps if one.gives == goal):
            for kind in two.takes:
                for one in first:
                    if one.gives == kind:
                        return (
                            f"data.bp.{one.call}.bp.{two.call} gives {_article(goal)}"
                        )
    return None


def kinds_text(kinds: Collection[str]) -> str:
    """Write what data are, for an error."""
    return " and ".join(map(_article, kinds)) or "data without a quantity"


def _article(kind: str) -> str:
    plain = {"trajectory": "a trajectory", "signal": "a signal", "table": "a table"}
    return plain.get(kind) or with_article(f"'{kind}'")
