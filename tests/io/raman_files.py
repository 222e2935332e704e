"""Small Raman files of every producer, written by hand from the layout of each format."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

#: Shifts that single precision holds, and intensities.
E = np.array([20.0, 22.0, 24.0, 26.0, 28.0, 30.0])
I = np.array([5.0, 9.0, 7.0, 6.0, 4.0, 3.0])  # noqa: E741


def spc(
    path: Path,
    ys: Sequence[np.ndarray] = (I,),
    *,
    x: np.ndarray | None = None,
    own: bool = False,
    bits: int = 0,
    exponent: int = 6,
    axis: int = 13,
    value: int = 4,
    technique: int = 11,
    order: str = "<",
    label: bytes = b"",
    log: bytes = b"",
    version: int | None = None,
) -> None:
    """Write SPC: floats, or whole numbers of some bits; an even axis, x, or one for each."""
    several = len(ys) > 1
    flags = (
        (bits == 16) | several << 2 | bool(label) << 5 | own << 6 | (x is not None) << 7
    )
    version = version or {"<": 0x4B, ">": 0x4C}[order]
    e = exponent if bits else -128
    n = 0 if own else len(ys[0])
    head = struct.pack(order + "BBBbIddIBBB", flags, version, technique, e, n, E[0], E[-1], len(ys), axis, value, 4)  # fmt: skip
    parts = [b"" if x is None or own else x.astype(order + "f4").tobytes()]
    for i, y in enumerate(ys):
        parts.append(struct.pack(order + "BbhfffIIf4x", 0, e, i, 1.5 * i, 0, 0, len(y) if own else 0, 0, 0))  # fmt: skip
        if own:
            assert x is not None
            parts.append((x + i).astype(order + "f4").tobytes())
        whole = np.round(y * 2.0 ** (bits - exponent)) if bits else y
        kind = f"i{bits // 8}" if bits else "f4"
        parts.append(whole.astype(order + kind).tobytes())
    body = b"".join(parts)
    at = 512 + len(body) if log else 0
    head = (
        head.ljust(218, b"\0") + label.ljust(30, b"\0") + struct.pack(order + "I", at)
    )
    if log:
        body += (
            struct.pack(order + "III", 64 + len(log), 4096, 64).ljust(64, b"\0") + log
        )
    path.write_bytes(head.ljust(512, b"\0") + body)


def block(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sIQ", name, 0, 16 + len(content)) + content


def wdf(
    path: Path,
    ys: Sequence[np.ndarray] = (I,),
    *,
    collected: int | None = None,
    axis: int = 1,
    flags: int = 0,
    places: Sequence[float] = (),
) -> None:
    """Write WDF, descending as WiRE writes it, with places x in µm."""
    n, m = len(ys[0]), len(ys)
    head = struct.pack(
        "<IIQQ16s12xIIIQQIIII24s4HIIQQIf48x32s160s48x32x32x",
        0x31464457, 1, 512, flags, b"", 0, 0, n, m, m if collected is None else collected, 8, 1, n,
        1 if len(places) else 0, b"WiRE", 5, 5, 0, 0, 1, 1 if m == 1 else 3, 0, 0, 6, 1e7 / 785, b"Raman", b"glass",
    )  # fmt: skip
    values = np.array([y[::-1] for y in ys], "<f4").tobytes()
    parts = [head, block(b"DATA", values), block(b"YLST", struct.pack("<IIf", 0, 0, 1))]
    parts.append(block(b"XLST", struct.pack("<II", 19, axis) + E[::-1].astype("<f4").tobytes()))  # fmt: skip
    if len(places):
        origin = struct.pack("<IIII16s", 1, 3, 5, 0, b"")[:4] + struct.pack("<II16s", 3, 5, b"X")  # fmt: skip
        parts.append(block(b"ORGN", origin + np.array(places, "<f8").tobytes()))
    path.write_bytes(b"".join(parts))


def parameters(**values: float | str) -> bytes:
    """Write a list of parameters of OPUS."""
    found = b""
    for name, value in values.items():
        if isinstance(value, str):
            stored = value.encode() + b"\0"
            kind, stored = 2, stored + b"\0" * (len(stored) % 2)
        else:
            kind = 1 if isinstance(value, float) else 0
            stored = struct.pack("<d" if kind else "<i", value)
        found += struct.pack("<3sxhh", name.encode(), kind, len(stored) // 2) + stored
    found += b"END\0\0\0\0\0"
    return found + b"\0" * (-len(found) % 4)


def opus_kind(
    what: int, parameters: int = 0, derivative: int = 0, form: int = 0
) -> int:
    return 15 | parameters << 4 | what << 10 | derivative << 17 | form << 19


def opus(
    path: Path,
    whats: Sequence[int] = (10,),
    *,
    units: str = "WN",
    scale: float = 0.5,
    number: int = 1,
    derivative: int = 0,
    form: int = 0,
) -> None:
    """Write OPUS: data blocks of some kinds, descending, with their parameters."""
    blocks = [(opus_kind(0, 2) & ~15, parameters(RLW=9394.9, INS="VERTEX 70")), (opus_kind(0, 3) & ~15, parameters(NSS=50))]  # fmt: skip
    for what in whats:
        y = (I[::-1] / scale).astype("<f4" if number == 1 else "<i4").tobytes()
        before = b"\1\0\0\0" * 3 if form == 4 else b""
        own = parameters(DPF=number, NPT=I.size, FXV=float(E[-1]), LXV=float(E[0]), CSF=scale, DXU=units)  # fmt: skip
        blocks.append((opus_kind(what, 0, derivative, form), before + y))
        blocks.append((opus_kind(what, 1, derivative, form), own))
    at = 24 + 12 * len(blocks)
    directory, body = b"", b""
    for kind, content in blocks:
        directory += struct.pack("<3i", kind, len(content) // 4, at + len(body))
        body += content
    head = b"\n\n\xfe\xfe" + struct.pack("<d3i", 920622.0, 24, 40, len(blocks))
    path.write_bytes(head + directory + body)


AXES, TYPE, UNITS, VALUES, NAME, VALUE = 0x7B697861, 0x6D707974, 0x7C696E75, 0x7D6CD4DB, 0x6D6D616E, 0x7D6C61DB  # fmt: skip
Node = tuple[int, object]


def records(nodes: Sequence[Node], addresses: list[int]) -> bytes:
    """Write a list of LabSpec 6: records, and behind them what they point to."""
    found, behind = b"", b""
    for key, value in nodes:
        if isinstance(value, float | int):
            stored, kind = struct.pack("<d" if isinstance(value, float) else "<q", value), 4 + isinstance(value, float)  # fmt: skip
        elif isinstance(value, str) and len(value) < 8:
            stored, kind = value.encode("latin-1").ljust(8, b"\0"), 7
        else:
            addresses[0] += 16
            if isinstance(value, str):
                kind, content = 0x1007, value.encode("latin-1") + b"\0"
                n = len(content)
            elif isinstance(value, np.ndarray):
                kind, content, n = 0x1006, value.astype("<f4").tobytes(), value.size
            else:
                assert isinstance(value, list)
                address, kind, n = addresses[0], 0x1009, len(value)
                stored = struct.pack("<II", address, n)
                content = records(value, addresses)
            if kind != 0x1009:
                stored = struct.pack("<II", addresses[0], n)
            behind += content
        found += struct.pack("<IIII", kind, 7, key, 0) + stored
    return found + behind


def labspec6(path: Path, *, points: int = 1, unit: str = "1/cm", kind: str = "Spectr", counts: str = "Cnt") -> None:  # fmt: skip
    """Write a LabSpec 6 file of one spectrum, or of as many as there are points."""
    axes: list[Node] = [
        (0, [(TYPE, "Intens"), (UNITS, counts), (VALUES, np.tile(I, points))]),
        (1, [(VALUES, E), (TYPE, kind), (UNITS, unit)]),
    ]
    if points > 1:
        axes.append(
            (2, [(VALUES, np.arange(float(points))), (TYPE, "X"), (UNITS, "um")])
        )
    rows: list[Node] = [
        (1, [(VALUE, 8.0), (NAME, "Acq. time (s)"), (UNITS, "s")]),
        (2, [(NAME, "Grating"), (VALUE, "300"), (3, 300.0)]),
        (3, [(NAME, "Laser (nm)"), (VALUE, "785 nm, edge")]),
    ]
    nodes: list[Node] = [(TYPE, "Spectrum"), (9, [(AXES, axes)]), (8, rows)]
    root = struct.pack("<IIIIII", 0x1009, 1, 2, 0, 16, len(nodes))
    head = b"LabSpec6".ljust(0x4C, b"\0")
    path.write_bytes(head + root + records(nodes, [16]))


def labspec_xml(path: Path, *, points: int = 1, unit: str = "1/cm", rows: Sequence[int] | None = None) -> None:  # fmt: skip
    """Write a LabSpec export as XML."""

    def text(key: int, value: str, kind: int = 7) -> str:
        return f'<LSX ID="0x{key:08X}" Format="{kind}">{value}</LSX>'

    def listed(key: int, *parts: str) -> str:
        return text(key, "".join(parts), 9)

    numbers = [" ".join(map(str, part)) for part in (E, I, np.arange(float(points)))]
    axes = [
        listed(0, text(TYPE, "Intens"), text(UNITS, "Cnt")),
        listed(1, text(TYPE, "Spectr"), text(UNITS, unit), text(VALUES, numbers[0], 6)),
        listed(2, text(TYPE, "X"), text(UNITS, "µm"), text(VALUES, numbers[2], 6)),
    ]
    tree = listed(AXES, *axes) + listed(8, listed(1, text(NAME, "Laser (nm)"), text(VALUE, "532")))  # fmt: skip
    order = range(points) if rows is None else rows
    matrix = "".join(f'<LSX_Row Index="{i}">{numbers[1]}</LSX_Row>' for i in order)
    path.write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<LSX_Data>'
        f"<LSX_Tree>{tree}</LSX_Tree><LSX_Matrix>{matrix}</LSX_Matrix></LSX_Data>\n",
        encoding="utf-8",
    )


def lines(path: Path, rows: Sequence[str], encoding: str = "utf-8") -> None:
    path.write_text("\n".join(rows) + "\n", encoding=encoding)


def rruff(path: Path, *further: str) -> None:
    header = ["##NAMES=Coesite", "##RRUFFID=R070565", "##IDEAL CHEMISTRY=SiO_2_", *further]  # fmt: skip
    lines(path, [*header, *(f"{e:.4f}, {i:.3f}" for e, i in zip(E, I, strict=True)), "##END="])  # fmt: skip


def bwtek(path: Path, *, comma: bool = True, spectra: int = 1) -> None:
    titles = ["Pixel", "Wavelength", "Wavenumber", "Raman Shift", "Dark", "Reference"]
    for i in range(1, spectra + 1):
        titles += [f"Raw data #{i}", f"Dark Subtracted #{i}", f"%TR #{i}"]
    rows = ["0;;;;1000;65535;" + "1000;0;0;" * spectra]
    for i, (e, y) in enumerate(zip(E, I, strict=True), start=1):
        rows.append(f"{i};{785 + i}.25;12000.5;{e + 0.5};1000.0;65535;" + f"{1000 + y};{y};0;" * spectra)  # fmt: skip
    header = ["File Version;BWRam4.15_10", "Date;2025-02-19 12:06:04", "model;BTC665N", "laser_wavelength;785.02", "intigration times(us);500000", "average number;5"]  # fmt: skip
    text = [*header, ";".join(titles) + ";", *rows]
    lines(path, [text[0], *(row.replace(".", ",") if comma else row for row in text[1:])])  # fmt: skip


def witec(path: Path, *, spectra: int = 1, unit: str = "rel. 1/cm", comma: bool = False, marked: bool = True) -> None:  # fmt: skip
    names = [f"glass {i}" for i in range(spectra)]
    rows = ["\t".join([f"{e:.5f}", *[f"{y:.5f}"] * spectra]) for e, y in zip(E, I, strict=True)]  # fmt: skip
    titles = ["\t".join(["X-Axis", *names]), "\t".join([unit, *["CCD cts"] * spectra])]
    head = ["//Exported ASCII-File", "[Header]", "FileName = a.wip", "ExcitationWavelength = 532.1 nm", "[Data]"]  # fmt: skip
    rows = [row.replace(".", ",") for row in rows] if comma else rows
    lines(path, [*(head if marked else []), *titles, *rows])


def renishaw_text(path: Path, *, places: int = 0) -> None:
    pairs = list(zip(E[::-1], I[::-1], strict=True))
    if not places:
        lines(path, ["#Wave\t\t#Intensity", *(f"{e:.6f}\t{y:.6f}" for e, y in pairs)])
        return
    rows = [f"{2 * k}.0\t-1.5\t{e:.6f}\t{y + k:.6f}" for k in range(places) for e, y in pairs]  # fmt: skip
    lines(path, ["#X\t\t#Y\t\t#Wave\t\t#Intensity", *rows])


def rruff_net(path: Path, *, kind: str = "Raman RAW", encoding: str = "utf-8") -> None:
    """As rruff.net has them since 2025: no end mark, cell parameters, rows of the spectrometer's program."""
    header = ["##NAMES=Sidérite", "##RRUFFID=R000003", "##LOCALITY=Mazarrón, Murcia, Spain",
              "##CELL PARAMETERS=a: 4.69", "##CELL PARAMETERS=a: 4.6916(2)",
              f"##FILETYPE={kind}", "##RAMAN WAVELENGTH=785 nm", "",
              "#Acq. time (s)=\t2.5", "#Grating=\t1200 gr/mm", "instrument export preamble", "X,Y"]  # fmt: skip
    rows = [f"{e:.4f},{i:.3f}" for e, i in zip(E, I, strict=True)]
    lines(path, [*header, *rows], encoding)
