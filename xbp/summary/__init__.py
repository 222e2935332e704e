"""What data are, what can be done with them next, and what a table of results says in one line."""

from __future__ import annotations

import html
from typing import Any

import xarray as xr

from xbp.core.diagnostic import diagnostics
from xbp.core.errors import QuantityError
from xbp.core.operation import RESULTS, steps_after
from xbp.core.pint_data import unwrap
from xbp.core.schema import QUANTITIES, quantity_name
from xbp.summary.results import LAZY, SENTENCES
from xbp.summary.signals import signal_lines, trajectory_lines

__all__ = ["describe", "describe_html", "describe_tree"]


def describe(data: xr.DataArray | xr.Dataset) -> str:
    """Say what data are, what they can do next, and what is missing.

    Of a table of results, what it says.

    This is what ``data.bp`` prints.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Anything. What dask holds is not computed.

    Returns
    -------
    str
        A few lines.

    Raises
    ------
    QuantityError
        If they are neither.

    Examples
    --------
    >>> import xbp
    >>> b = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe()
    >>> print(describe(b.B))
    B(Q,E) in angstrom**2/meV**2: Q 169 (0.153 to 8.58 1/angstrom), E 146 (0 to 60 meV)
      temperature 300 K, u2 0.0135 angstrom**2, box_phonon 1.72 meV, statistics classical
      next: .bp.boson_peak() .bp.scan_boson_peak() .bp.cut_E(…) .bp.cut_Q(…) .bp.correlation_map(…)
      .bp.to_sqe() .bp.plot.map()
      missing: standard deviations (a DataArray has none: use the Dataset)
    >>> print(describe(b.bp.cut_Q((2.1, 8.5)).bp.boson_peak(E_range=(1.2, 8))))
    boson peak 2.5842 ± 0.0063 meV (fitted over 1.24 to 7.86 meV, reduced chi2 364)
      beware: the curve has not the shape of the data; the range fitted decides more than the error
    """
    if not isinstance(data, xr.DataArray | xr.Dataset):
        raise QuantityError(
            f"got a {type(data).__name__}",
            reason="xbp works on labelled data, an xarray.DataArray or xarray.Dataset",
            fix="make one with xbp.new_dataset(quantity, values, units=..., "
            "coords=...)",
        )
    plain = unwrap(data)[0]
    return "\n".join(
        [_what_it_is(plain), *(f"  {doubt}" for doubt in diagnostics(plain))]
    )


def _what_it_is(plain: Any) -> str:
    """Describe data without their diagnostics."""
    result = str(quantity_name(plain))
    if result in LAZY or (result in RESULTS and isinstance(plain, xr.Dataset)):
        if result not in LAZY and any(
            v.chunks is not None for v in plain.variables.values()
        ):
            return f"{_title(result)}: not computed yet; .compute() does"
        try:
            said = SENTENCES[result](plain)
        except (AttributeError, KeyError, ValueError, TypeError, IndexError):
            return (
                f"{_title(result)}: a part of the table, without the columns that "
                "tell of it"
            )
        wrong = plain.attrs.get("beware")
        said += f"\n  beware: {wrong}" if isinstance(wrong, str) else ""
        steps = "" if result in LAZY else " ".join(steps_after(plain))
        return said + (steps and f"\n  next: {steps}")
    signals = (
        [plain] if isinstance(plain, xr.DataArray) else list(plain.data_vars.values())
    )
    known = [
        v
        for v in signals
        if quantity_name(v) in QUANTITIES and not str(v.name).endswith("_std")
    ]
    if quantity_name(plain) == "trajectory":
        return trajectory_lines(plain)
    if not known:
        return (
            "no quantity is named, so nothing can be done with these data\n"
            f"  missing: data.attrs['quantity'], one of {', '.join(QUANTITIES)}"
        )
    return "\n".join(signal_lines(v, plain, first=v is known[0]) for v in known)


def describe_html(data: xr.DataArray | xr.Dataset) -> str:
    """Give `describe` to a notebook.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        As for `describe`.

    Returns
    -------
    str
        HTML, with everything that came out of the data escaped.

    Examples
    --------
    >>> import xarray as xr
    >>> print(describe_html(xr.DataArray([1.0], dims="E"))[:40])
    <div><b>no quantity is named, so nothing
    """
    first, *others = html.escape(describe(data)).split("\n")
    return f"<div><b>{first}</b>{''.join(f'<br>{line}' for line in others)}</div>"


def describe_tree(tree: xr.DataTree) -> str:
    """Say what a tree holds that is no study, and how to come by one of its data sets.

    Parameters
    ----------
    tree : xarray.DataTree
        As `fluctuation_spectrum` gives it of several fields.

    Returns
    -------
    str

    Examples
    --------
    >>> import xbp
    >>> print(describe_tree(xbp.tutorial.open_datatree("CuZr")["transition"]))
    glass transition at 919 ± 19 K
      as a Dataset: tree["transition"].to_dataset().bp
    """
    if not tree.children:
        return (
            f"{describe(tree.to_dataset())}\n  as a Dataset: "
            f"tree{_at(tree)}.to_dataset().bp"
        )
    fields = all("field" in node.attrs for node in tree.children.values())
    lines = [
        "a tree of "
        f"{'fluctuation spectra, one of each field' if fields else 'data sets'}: "
        f"{', '.join(tree.children)}"
    ]
    first = next(iter(tree.children))
    return "\n".join(
        [*lines, f'  next: choose one, tree{_at(tree)}["{first}"].to_dataset().bp']
    )


def _at(node: xr.DataTree) -> str:
    """Write how a node is come by from the root."""
    path = node.path.strip("/")
    return f'["{path}"]' if path else ""


def _title(result: str) -> str:
    return result.replace("_", " ")
