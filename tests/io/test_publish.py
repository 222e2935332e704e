"""Files that appear when they are complete: what is left by kills, full disks, interrupts and two writers at once."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import FileFormatError
from xbp.io import publish
from xbp.io.geometry import angle_dataset
from xbp.io.publish import make_folder, new_file, new_folder, remove_tree


def cut(E: np.ndarray | None = None) -> xr.Dataset:
    """B(E) with its errors."""
    E = np.arange(0.5, 20) if E is None else E
    ds = xr.Dataset(
        {
            "B": ("E", np.exp(-((E - 5) ** 2) / 8) + 1),
            "B_std": ("E", 0.01 + 0 * E, {"units": "1/meV**3"}),
        },
        coords={"E": ("E", E, {"units": "meV"})},
    )
    ds.B.attrs = {
        "units": "1/meV**3", "quantity": "reduced_dos", "statistics": "quantum", "ancillary_variables": "B_std",
    }  # fmt: skip
    return ds


WRITERS: dict[str, Callable[[Path, bool], None]] = {
    "a.nc": lambda path, overwrite: cut().bp.to_netcdf(path, overwrite=overwrite),
    "a.csv": lambda path, overwrite: cut().bp.to_csv(path, overwrite=overwrite),
    "a.dat": lambda path, overwrite: cut().bp.to_columns(path, overwrite=overwrite),
}


def write(path: Path, text: str = "new", *, overwrite: bool = True) -> None:
    with new_file(path, overwrite=overwrite) as (temporary, _):
        Path(temporary).write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def kill_while_writing(folder: Path, code: str) -> None:
    """Run a writer in a process that is killed in the middle of its work."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    os.kill(process.pid, signal.SIGKILL)
    process.stdout.close()
    process.wait()


WRITING = (
    "import time; from pathlib import Path; from xbp.io.publish import new_file\n"
    "with new_file('a.txt', overwrite=True) as (temporary, _):\n"
    "    Path(temporary).write_text('half'); print('writing', flush=True); time.sleep(600)\n"
)


@pytest.mark.slow
def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    kill_while_writing(tmp_path, WRITING)
    left = [name for name in names(tmp_path) if name.endswith(".part")]
    assert len(left) == 1
    assert (tmp_path / "a.txt").read_text() == "old"
    write(tmp_path / "another.txt")
    assert names(tmp_path) == ["a.txt", "another.txt"]


@pytest.mark.slow
def test_the_file_of_a_writer_at_work_stays(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITING], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "writing\n"
        with new_file(tmp_path / "b.txt", overwrite=False) as (temporary, _):
            write(tmp_path / "c.txt")
            assert len(names(tmp_path)) == 3
            Path(temporary).write_text("b")
        assert [name.endswith(".part") for name in names(tmp_path)] == [
            True,
            False,
            False,
        ]
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def test_files_of_other_machines_and_of_others_stay(tmp_path: Path) -> None:
    host = publish._host()
    kept = [
        f".xbp-other.{host}-1-5-0123abcd.part",
        ".a.txt.part",
        ".xbp.abcdef.part",
        "download.part",
    ]
    # This process began at another time, so its number had another owner before.
    gone = f".xbp-{host}-{os.getpid()}-1-0123abcd.part"
    for name in [*kept, gone]:
        (tmp_path / name).write_text("")
    write(tmp_path / "a.txt")
    assert names(tmp_path) == sorted([*kept, "a.txt"])


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_but_a_file_is_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("folder")
    os.mkfifo(tmp_path / "pipe")
    before = names(tmp_path)
    for bad in ("folder", "link", "pipe", "."):
        with pytest.raises(FileFormatError, match="cannot write"):
            WRITERS[name](tmp_path / bad, True)
    with pytest.raises(FileFormatError, match="device"):
        WRITERS[name](Path("/dev/null"), True)
    assert names(tmp_path) == before
    assert (tmp_path / "folder" / "inner").is_dir()
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("name", WRITERS)
def test_a_link_stays_a_link(name: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(Path("there") / name)
    WRITERS[name](tmp_path / "link", False)
    assert (tmp_path / "link").is_symlink()
    with pytest.raises(FileFormatError, match="exists"):
        WRITERS[name](tmp_path / "link", False)
    WRITERS[name](tmp_path / "link", True)
    assert names(tmp_path / "there") == [name]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 64 kB; only a superuser can."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux", reason="it mounts a file system as Linux does"
)
@pytest.mark.parametrize(
    "kind",
    [
        "nc",
        "csv",
        "dat",
        "study",
        "report",
        "nxspe",
        "sqw",
        "convert.nc",
        "convert.zarr",
    ],
)
def test_a_full_disk_is_called_that_and_the_old_file_stays(
    kind: str, small_disk: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    many = cut(np.sort(rng.random(40_000)) * 40 + 1)
    S = xbp.models.dynamic_structure_factor(
        np.linspace(1.5, 8.5, 200), np.linspace(-19.75, 20, 401), energy="5.5 meV", width="6 meV", T="300 K",
        u2="0.012 angstrom^2",
    )  # fmt: skip
    S["S"] = S.S * (1 + 1e-9 * rng.random(S.S.shape))
    target = small_disk / "old"
    if kind.startswith("convert"):
        gas = xbp.md.models.ideal_gas(
            500, 80, cell=10, T=300, mass=40, time_step=0.02, rng=1
        )
        gas.to_netcdf(tmp_path / "gas.nc")
        target = small_disk / ("old.zarr" if kind.endswith("zarr") else "old.nc")
    target.write_text("old")
    filler = small_disk / "filler"
    # A page is small: it is to find next to nothing free.
    filler.write_bytes(bytes(48_000 if kind == "report" else 0))

    def write_it() -> None:
        match kind:
            case "nc":
                many.bp.to_netcdf(target, overwrite=True)
            case "csv":
                many.bp.to_csv(target, overwrite=True)
            case "dat":
                many.bp.to_columns(target, overwrite=True)
            case "study":
                xbp.study.new_study({"a": many}).bp.to_netcdf(target, overwrite=True)
            case "report":
                xbp.study.new_study({"a": cut()}).bp.report(target, overwrite=True)
            case "nxspe":
                values = rng.random((200, 400))
                powder = angle_dataset(
                    values, values, detector=np.arange(200), E=np.linspace(-20, 20, 401), incident_energy=50.0,
                    ki_over_kf=True, angles={"two_theta": np.linspace(5, 130, 200)}, attrs={},
                )  # fmt: skip
                powder.bp.to_nxspe(target, overwrite=True)
            case "sqw":
                S.bp.to_sqw(target, overwrite=True)
            case _:
                xbp.md.convert(tmp_path / "gas.nc", target, overwrite=True)

    with pytest.raises(FileFormatError, match=r"disk full: cannot write .*old"):
        write_it()
    assert target.read_text() == "old"
    filler.unlink()
    assert names(small_disk) == [target.name]


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_as_the_system_says_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    WRITERS[name](tmp_path / name, False)
    before = (tmp_path / name).read_bytes()
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FileFormatError, match="disk full") as told:
        WRITERS[name](tmp_path / name, True)
    assert ".part" not in str(told.value)
    assert (tmp_path / name).read_bytes() == before
    assert names(tmp_path) == [name]


def test_an_interrupt_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "a", "old")

    def interrupted() -> None:
        with new_file(tmp_path / "a", overwrite=True) as (temporary, _):
            Path(temporary).write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("name", WRITERS)
def test_invalid_paths(name: str, tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    for bad in (
        tmp_path / ("n" * 300),
        tmp_path / "nowhere" / "a",
        f"{tmp_path}/a\0b",
        tmp_path / "circle",
        7,
        None,
    ):
        with pytest.raises(FileFormatError):
            WRITERS[name](bad, True)  # type: ignore[arg-type]
    assert names(tmp_path) == ["circle"]


def test_names_as_long_as_the_system_takes_and_as_bytes(tmp_path: Path) -> None:
    write(tmp_path / ("n" * 255))
    with new_file(os.fsencode(tmp_path / "ü$ \"'#.txt"), overwrite=False) as (
        temporary,
        target,
    ):
        Path(temporary).write_text("x")
    assert target.read_text() == "x"


def test_a_folder_or_file_that_may_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a", "old")
    (tmp_path / "a").chmod(0o444)
    # A superuser may write anything.
    monkeypatch.setattr(
        os, "access", lambda path, mode: bool(os.stat(path).st_mode & 0o222)
    )
    with pytest.raises(FileFormatError, match="write-protected"):
        write(tmp_path / "a")
    assert (tmp_path / "a").read_text() == "old"

    def denied(*args: object, **kwargs: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(FileFormatError, match=r"cannot write .*b"):
        write(tmp_path / "b")


def test_a_new_file_has_the_mode_of_any_other_and_a_replaced_one_its_own(
    tmp_path: Path,
) -> None:
    write(tmp_path / "a")
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode
    (tmp_path / "a").chmod(0o640)
    write(tmp_path / "a")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_two_writers_at_once(tmp_path: Path) -> None:
    """Without overwrite exactly one of many succeeds; with it the file is whole, one writer's or another's."""
    start, failed = threading.Barrier(8), []

    def one(number: int, overwrite: bool) -> None:
        start.wait()
        try:
            write(tmp_path / f"{overwrite}", str(number) * 100_000, overwrite=overwrite)
        except FileFormatError as error:
            failed.append(str(error))

    for overwrite in (False, True):
        failed.clear()
        threads = [threading.Thread(target=one, args=(i, overwrite)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(failed) == (0 if overwrite else 7)
        text = (tmp_path / f"{overwrite}").read_text()
        assert text == text[0] * 100_000
    assert names(tmp_path) == ["False", "True"]


def test_without_what_linux_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On file systems without hard links and systems without flags of rename, nothing is replaced unasked either."""

    def no_links(*args: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(publish, "_rename", lambda *args: False)
    monkeypatch.setattr(os, "link", no_links)
    write(tmp_path / "a", overwrite=False)

    def too_late() -> None:
        with new_file(tmp_path / "b", overwrite=False) as (temporary, target):
            target.write_text("of another, meanwhile")
            Path(temporary).write_text("mine")

    with pytest.raises(FileFormatError, match="exists"):
        too_late()
    assert (tmp_path / "b").read_text() == "of another, meanwhile"
    assert names(tmp_path) == ["a", "b"]


@pytest.fixture(params=["one step", "two steps"])
def steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "two steps":
        monkeypatch.setattr(publish, "_rename", lambda *args: False)
    return str(request.param)


def replace_folder(place: Path) -> None:
    with new_folder(place, overwrite=True, replaceable=lambda folder: None) as (
        temporary,
        _,
    ):
        temporary.mkdir()
        (temporary / "new").write_text("new")


def test_a_folder_takes_the_place_of_another(steps: str, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "old").write_text("old")
    replace_folder(tmp_path / "store")
    assert names(tmp_path / "store") == ["new"]
    assert names(tmp_path) == ["store"]
    with (
        pytest.raises(FileFormatError, match="it is precious"),
        new_folder(
            tmp_path / "store",
            overwrite=True,
            replaceable=lambda folder: "it is precious",
        ),
    ):
        pass
    assert names(tmp_path / "store") == ["new"]


@pytest.mark.parametrize("at", [1, 2, 3])
def test_an_interrupt_between_renames_leaves_one_whole_folder(
    steps: str, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "old").write_text("old")
    real, calls = os.rename, []

    def rename(source: object, target: object) -> None:
        calls.append(source)
        if len(calls) == at:
            raise KeyboardInterrupt
        real(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rename", rename)
    try:
        replace_folder(tmp_path / "store")
    except KeyboardInterrupt:
        assert names(tmp_path / "store") == ["old"]
    else:
        assert names(tmp_path / "store") == ["new"]
    assert names(tmp_path) == ["store"]


@pytest.mark.slow
def test_a_kill_between_renames_leaves_one_whole_folder(tmp_path: Path) -> None:
    """Where the system cannot exchange two folders, the next writer puts the old one back."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "old").write_text("old")
    code = (
        "import os, time; from xbp.io import publish\n"
        "publish._rename = lambda *args: False\n"
        "real, calls = os.rename, []\n"
        "def rename(source, target):\n"
        "    calls.append(source)\n"
        "    if len(calls) == 2:\n"
        "        print('writing', flush=True); time.sleep(600)\n"
        "    real(source, target)\n"
        "os.rename = rename\n"
        "with publish.new_folder('store', overwrite=True, replaceable=lambda folder: None) as (temporary, _):\n"
        "    temporary.mkdir()\n"
    )
    kill_while_writing(tmp_path, code)
    assert not (tmp_path / "store").exists()
    with pytest.raises(FileFormatError, match="exists"):
        write(tmp_path / "store", overwrite=False)
    assert names(tmp_path) == ["store"]
    assert names(tmp_path / "store") == ["old"]


def test_a_file_that_is_open_for_reading_is_replaced(tmp_path: Path) -> None:
    cut().bp.to_netcdf(tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc") as old:
        changed = cut()
        changed["B"] = changed.B * 2
        changed.bp.to_netcdf(tmp_path / "a.nc", overwrite=True)
        np.testing.assert_array_equal(old.B, cut().B)
    with xr.open_dataset(tmp_path / "a.nc") as new:
        np.testing.assert_array_equal(new.B, 2 * cut().B)


def test_text_that_no_encoding_has(tmp_path: Path) -> None:
    """Half of a character pair, as a title of a damaged file may hold, stops no writer."""
    data = cut().assign_attrs(title="\ud800 glass")
    data.bp.to_columns(tmp_path / "a.dat")
    np.testing.assert_allclose(
        xbp.open_dataset(tmp_path / "a.dat").B.values, cut().B.values
    )


def test_make_folder(tmp_path: Path) -> None:
    assert make_folder(tmp_path / "a" / "b").is_dir()
    assert make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    for bad in (
        tmp_path / "file",
        tmp_path / "file" / "a",
        tmp_path / ("n" * 300),
        None,
        "a\0b",
    ):
        with pytest.raises(FileFormatError):
            make_folder(bad)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_folder_is_removed_while_a_thread_still_writes_into_it(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "part"
    folder.mkdir()
    begun = threading.Event()

    def write() -> None:
        for i in range(2000):
            with contextlib.suppress(FileNotFoundError):
                (folder / f"{i % 50}").write_text("chunk")
            begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait()
    remove_tree(folder)
    writer.join()
    assert not folder.exists()
