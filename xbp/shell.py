"""What users type in a shell: advice of errors, and options of readers."""

from __future__ import annotations

import contextlib
import re
import shlex
from typing import Any

import click

from xbp.io import FORMATS

__all__ = ["advice", "option_value"]

_ARGUMENT = r"(\w+)=('[^']*'|[\w.]+)(?![\w.(])"
#: How errors show the call that opens a file, with its options.
_OPEN = re.compile(rf"\w+\.open_dataset\(path, ((?:{_ARGUMENT}(?:, )?)+)\)")


def advice(fix: str, command: click.Command, file: str) -> str:
    """Write what an error advises as it is typed in a shell.

    Examples
    --------
    >>> from xbp.cli import info, run
    >>> advice("xbp.open_dataset(path, T='300 K', spectrum=0)", info, "a.txt")
    "xbp info a.txt -o 'T=300 K' -o spectrum=0"
    >>> advice("pass overwrite=True", run, "a.toml")
    'pass --overwrite'
    >>> advice("pass xbp.new_dataset(...)", info, "a.txt")
    'in Python: pass xbp.new_dataset(...)'
    """
    own = {str(one.name): one for one in command.params}

    def option(found: re.Match[str]) -> str:
        name, value = found[1], found[2].strip("'")
        if name in own:
            given = own[name]
            is_flag = isinstance(given, click.Option) and given.is_flag
            return given.opts[0] + ("" if is_flag else f" {shlex.quote(value)}")
        if "options" in own:
            return f"-o {shlex.quote(f'{name}={value}')}"
        return found[0]

    def opened(found: re.Match[str]) -> str:
        return f"xbp {command.name} {shlex.quote(file)} {found[1].replace(', ', ' ')}"

    text = re.sub(_ARGUMENT, option, _OPEN.sub(opened, fix))
    text = text.replace(
        "xbp.md.open_trajectory(path, ...)", f"xbp convert {shlex.quote(file)} glass.nc"
    )
    if text == fix and re.search(r"\b(xbp|data|np)\.", fix):
        return f"in Python: {fix}"
    return text


def option_value(name: str, text: str) -> Any:
    """Return an option as the readers take it: True, False, a number, else text.

    Examples
    --------
    >>> option_value("has_std", "false"), option_value("spectrum", "0")
    (False, 0.0)
    >>> option_value("units", "1")
    '1'
    """
    kinds = {kind for one in FORMATS for kind in one.kinds(name)}
    if bool in kinds and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if {int, float} & kinds:
        with contextlib.suppress(ValueError):
            return (int if int in kinds else float)(text)
    return text
