"""Direct or indirect geometry: what tells it in a file, and what is asked."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import test_fuzz
import xarray as xr

import xbp
from xbp.errors import (
    CoordinateError,
    FileFormatError,
    QuantityError,
    RangeError,
    UnitsError,
)
from xbp.io.geometry import DIRECT, INDIRECT, geometry_of_instrument

C = 2.0721248  # ħ²/2m in meV Å²


def nxspe(
    path: Path,
    *,
    top: float = 1.6,
    fixed: object = 1.845,
    name: object = b"",
    **changes: object,
) -> Path:
    values = np.random.default_rng(0).random((4, 8)) + 0.5
    parts: dict[str, object] = {
        "data/data": values, "data/error": values / 10, "data/energy": np.linspace(-0.8, top, 9),
        "data/polar": [30.0, 60.0, 100.0, 140.0], "NXSPE_info/fixed_energy": fixed, "NXSPE_info/ki_over_kf_scaling": 1,
        "instrument/name": name, "instrument/fermi/energy": fixed,
    } | changes  # fmt: skip
    with h5py.File(path, "w") as file:
        for key, value in parts.items():
            if value is not None:
                file[f"w/{key}"] = value
    return path


def mantid(
    path: Path, *, name: bytes = b"NEW", map_: bool = False, **changes: object
) -> Path:
    """Spectra 1 to 4 of detectors 11, 12, 13 and 14 with 15; or a map of four Q."""
    values = np.random.default_rng(1).random((4, 8)) + 0.5
    parts: dict[str, object] = {
        "workspace/values": values, "workspace/errors": values / 10, "workspace/axis1": np.linspace(-0.8, 1.6, 9),
        "workspace/axis2": np.linspace(0.5, 2, 4) if map_ else np.arange(1.0, 5.0), "instrument/name": [name],
        "instrument/detector/detector_count": [1, 1, 1, 2], "instrument/detector/detector_index": [0, 1, 2, 3],
        "instrument/detector/detector_list": [11, 12, 13, 14, 15],
        "instrument/detector/detector_positions": [[1.0, angle, 0.0] for angle in (30, 60, 100, 140, 140)],
    } | changes  # fmt: skip
    with h5py.File(path, "w") as file:
        entry = file.create_group("mantid_workspace_1")
        for key, value in parts.items():
            if value is not None:
                entry[key] = value
        entry["workspace/axis1"].attrs.update(
            {"units": np.bytes_(b"DeltaE"), "distribution": np.bytes_(b"1")}
        )
        entry["workspace/axis2"].attrs["units"] = np.bytes_(
            b"MomentumTransfer" if map_ else b"spectraNumber"
        )
    return path


def by_hand(energy: float, fixed: float, two_theta: float, geometry: str) -> float:
    ki, kf = (
        (np.sqrt(fixed / C), np.sqrt((fixed - energy) / C))
        if geometry == "direct"
        else (np.sqrt((fixed + energy) / C), np.sqrt(fixed / C))
    )
    angle = np.radians(two_theta)
    return float(np.hypot(ki - kf * np.cos(angle), kf * np.sin(angle)))


def q_at(ds: xr.Dataset, energy: float, two_theta: float) -> float:
    limits = ds.S.bp.kinematic_limits((two_theta - 1e-4, two_theta + 1e-4))
    return float(limits.Q_max.interp(E=energy))


# What files of an instrument that fixes E_f say, and what follows.
@pytest.mark.parametrize(
    "name",
    [
        b"OSIRIS",
        b"Osiris",
        b"IRIS",
        b"TOSCA",
        b"BASIS",
        b"IN16B",
        b"VISION",
        b"BIFROST",
    ],
)
def test_indirect_by_the_name_of_the_instrument(tmp_path: Path, name: bytes) -> None:
    ds = xbp.open_dataset(nxspe(tmp_path / "a.nxspe", name=name))
    assert ds.S.attrs["geometry"] == "indirect"
    assert (float(ds.final_energy), ds.final_energy.attrs["units"]) == (1.845, "meV")
    assert "incident_energy" not in ds.coords
    assert q_at(ds, 1.2, 100) == pytest.approx(
        by_hand(1.2, 1.845, 100, "indirect"), abs=1e-3
    )
    assert by_hand(1.2, 1.845, 100, "indirect") == pytest.approx(1.66, abs=0.005)


@pytest.mark.parametrize(
    "name",
    [
        b"LET",
        b"MARI",
        b"TOFTOF",
        b"IN5",
        b"SEQUOIA",
        b"T-REX",
        b"4SEASONS",
        b"AMATERAS",
    ],
)
def test_direct_by_the_name_of_the_instrument(tmp_path: Path, name: bytes) -> None:
    ds = xbp.open_dataset(nxspe(tmp_path / "a.nxspe", name=name, fixed=3.6))
    assert ds.S.attrs["geometry"] == "direct"
    assert float(ds.incident_energy) == 3.6
    assert "final_energy" not in ds.coords
    assert q_at(ds, 1.2, 100) == pytest.approx(
        by_hand(1.2, 3.6, 100, "direct"), abs=1e-3
    )


def test_no_instrument_is_in_both_tables() -> None:
    assert not DIRECT & INDIRECT
    assert geometry_of_instrument("OSIRIS spectrometer") == "indirect"
    assert geometry_of_instrument("no such") is None


def test_indirect_by_an_energy_above_the_fixed_one(tmp_path: Path) -> None:
    ds = xbp.open_dataset(nxspe(tmp_path / "a.nxspe", top=4.0))
    assert (ds.S.attrs["geometry"], float(ds.final_energy)) == ("indirect", 1.845)
    # Bins above it that hold nothing prove nothing.
    values = np.full((4, 8), 1.0)
    values[:, 4:] = np.nan
    empty = nxspe(tmp_path / "b.nxspe", top=4.0, **{"data/data": values})
    with pytest.raises(FileFormatError, match="geometry="):
        xbp.open_dataset(empty)


def test_direct_by_a_high_fixed_energy(tmp_path: Path) -> None:
    path = nxspe(tmp_path / "a.nxspe", fixed=[40.0])
    assert float(xbp.open_dataset(path).incident_energy) == 40
    with pytest.raises(FileFormatError, match="geometry="):
        xbp.open_dataset(path, direct_above="50 meV")
    assert (
        float(
            xbp.open_dataset(
                nxspe(tmp_path / "b.nxspe", fixed=20.0), direct_above=15
            ).incident_energy
        )
        == 20
    )


@pytest.mark.slow
def test_the_rest_is_asked(tmp_path: Path) -> None:
    path = nxspe(tmp_path / "a.nxspe")  # a chopper group proves nothing
    with pytest.raises(FileFormatError, match=r"1\.845 meV") as error:
        xbp.open_dataset(path)
    assert "geometry='indirect'" in error.value.fix
    for options, geometry, energy in (
        ({"geometry": "indirect"}, "indirect", 1.845),
        ({"geometry": "direct"}, "direct", 1.845),
        ({"final_energy": "1.84 meV"}, "indirect", 1.84),
        ({"incident_energy": 2.0}, "direct", 2.0),
        ({"final_energy": "1840 ueV", "geometry": "indirect"}, "indirect", 1.84),
    ):
        ds = xbp.open_dataset(path, **options)
        assert ds.S.attrs["geometry"] == geometry
        assert float(
            ds[{"direct": "incident_energy", "indirect": "final_energy"}[geometry]]
        ) == pytest.approx(energy)
        xr.testing.assert_identical(
            xr.open_dataset(path, engine="nxspe", **options), ds
        )
    for bad, kind in (
        ({"geometry": "inverse"}, QuantityError),
        ({"geometry": "direct", "final_energy": 1.8}, QuantityError),
        ({"incident_energy": 1.8, "final_energy": 1.8}, QuantityError),
        ({"final_energy": "3 K/s"}, UnitsError),
        ({"final_energy": -2}, RangeError),
    ):
        with pytest.raises(kind):
            xbp.open_dataset(path, **bad)


def test_a_direct_spectrometer_cannot_take_more_than_it_gives(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="direct"):
        xbp.open_dataset(nxspe(tmp_path / "a.nxspe", name=b"LET", top=4.0))
    with pytest.raises(FileFormatError, match="direct"):
        xbp.open_dataset(nxspe(tmp_path / "b.nxspe", top=4.0), geometry="direct")
    with pytest.raises(FileFormatError, match="indirect"):
        xbp.open_dataset(
            nxspe(
                tmp_path / "c.nxspe",
                name=b"IRIS",
                **{"data/energy": np.linspace(-8, 1, 9)},
            )
        )


def test_no_fixed_energy_is_no_geometry(tmp_path: Path) -> None:
    ds = xbp.open_dataset(nxspe(tmp_path / "a.nxspe", fixed=None))
    assert not {"incident_energy", "final_energy"} & set(ds.coords)
    assert "geometry" not in ds.S.attrs
    with pytest.raises(CoordinateError, match="incident_energy"):
        ds.bp.angle_to_Q(0.1)
    named = xbp.open_dataset(nxspe(tmp_path / "b.nxspe", fixed=None, name=b"IRIS"))
    assert named.S.attrs["geometry"] == "indirect"
    with pytest.raises(CoordinateError):
        named.bp.angle_to_Q(0.1, incident_energy=5)
    assert (
        named.bp.angle_to_Q(0.1, final_energy=1.845).S.attrs["geometry"] == "indirect"
    )


def test_an_energy_for_each_detector(tmp_path: Path) -> None:
    energies = np.array([3.2, 3.3, 3.4, 3.5])
    ds = xbp.open_dataset(nxspe(tmp_path / "a.nxspe", name=b"TOSCA", fixed=energies))
    np.testing.assert_array_equal(ds.final_energy, energies)
    assert ds.final_energy.dims == ("detector",)
    same = xbp.open_dataset(nxspe(tmp_path / "b.nxspe", name=b"TOSCA", fixed=[3.2] * 4))
    assert (same.final_energy.ndim, float(same.final_energy)) == (0, 3.2)
    # One more spectrum without a detector: its place has no angle and no energy.
    values = np.vstack([np.ones((2, 8)), np.zeros((1, 8)), np.ones((2, 8))])
    more = nxspe(
        tmp_path / "c.nxspe",
        name=b"TOSCA",
        fixed=energies,
        **{"data/data": values, "data/error": values / 10},
    )
    np.testing.assert_array_equal(
        xbp.open_dataset(more).final_energy, [3.2, 3.3, np.nan, 3.4, 3.5]
    )
    with pytest.raises(FileFormatError, match="fixed_energy"):
        xbp.open_dataset(nxspe(tmp_path / "d.nxspe", name=b"TOSCA", fixed=energies[:2]))
    for detector, energy in enumerate(energies):
        alone = ds.isel(detector=detector)
        two_theta = float(alone.two_theta)
        expected = by_hand(0.4, energy, two_theta, "indirect")
        assert q_at(alone, 0.4, two_theta) == pytest.approx(expected, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("fixed", [1.845, [1.8, 1.85, 1.9, 1.95]])
@pytest.mark.parametrize("geometry", ["direct", "indirect"])
def test_what_is_written_reads_back_without_a_word(
    tmp_path: Path, geometry: str, fixed: object
) -> None:
    ds = xbp.open_dataset(nxspe(tmp_path / "a.nxspe", fixed=fixed), geometry=geometry)
    ds.bp.to_nxspe(tmp_path / "again.nxspe")
    back = xbp.open_dataset(tmp_path / "again.nxspe")
    xr.testing.assert_identical(
        back.assign_attrs(source=""), ds.assign_attrs(source="")
    )
    with h5py.File(tmp_path / "again.nxspe") as file:
        (entry,) = file.values()
        assert ("instrument/fermi" in entry) == (
            geometry == "direct" and np.ndim(fixed) == 0
        )
    with pytest.raises(FileFormatError, match=geometry):
        xbp.open_dataset(
            tmp_path / "again.nxspe",
            geometry={"direct": "indirect", "indirect": "direct"}[geometry],
        )
    ds.bp.to_netcdf(tmp_path / "a.nc")
    with xbp.open_dataset(tmp_path / "a.nc") as archived:
        assert archived.S.attrs["geometry"] == geometry


PARAMETERS = b"NEW;string;deltaE-mode;indirect|NEW;double;efixed-val;1.845|NEW;string;odd;a;b=c;d|"
XML = b'<instrument><parameter name="deltaE-mode" type="string">\n <value val="indirect"/></parameter></instrument>'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "energy"),
    [
        ({"logs/deltaE-mode/value": [b"Indirect"], "logs/EFixed/value": [1.845]}, 1.845),
        ({"sample/deltaE-mode/value": [b"indirect"], "sample/Efixed/value": [1.845]}, 1.845),
        ({"instrument_parameter_map/data": [PARAMETERS]}, 1.845),
        ({"instrument/instrument_parameter_map/data": [PARAMETERS]}, 1.845),
        ({"instrument/instrument_xml/data": [XML], "logs/EFixed/value": [1.845]}, 1.845),
        # Mantid's own reader of NXSPE calls every fixed energy Ei.
        ({"instrument_parameter_map/data": [PARAMETERS], "logs/Ei/value": [1.845]}, 1.845),
        # With two digits at the detectors, with three at the instrument.
        ({"instrument_parameter_map/data": [PARAMETERS + b"detID:11;double;Efixed;1.84|detID:12;double;Efixed;1.84|"]}, 1.845),
        ({"instrument_parameter_map/data": [b"NEW;string;deltaE-mode;indirect|NEW/graphite;double;Efixed;1.845|"]}, 1.845),
    ],
    ids=range(8),
)  # fmt: skip
@pytest.mark.parametrize("map_", [False, True])
def test_mantid_says_it_in_many_places(
    tmp_path: Path, changes: dict[str, object], energy: float, map_: bool
) -> None:
    ds = xbp.open_dataset(mantid(tmp_path / "a.nxs", map_=map_, **changes))
    assert (ds.S.attrs["geometry"], float(ds.final_energy)) == ("indirect", energy)
    assert "incident_energy" not in ds.coords
    with pytest.raises(FileFormatError, match="indirect"):
        xbp.open_dataset(tmp_path / "a.nxs", geometry="direct")
    assert (
        float(xbp.open_dataset(tmp_path / "a.nxs", final_energy="1.9 meV").final_energy)
        == 1.9
    )


def test_mantid_has_an_energy_for_each_detector(tmp_path: Path) -> None:
    parameters = PARAMETERS + b"".join(
        b"detID:%d;double;Efixed;%.2f|" % pair
        for pair in ((11, 1.80), (12, 1.85), (14, 1.90), (15, 1.92))
    )
    ds = xbp.open_dataset(
        mantid(tmp_path / "a.nxs", **{"instrument_parameter_map/data": [parameters]})
    )
    # Detector 13 has that of the instrument, spectrum 4 the mean of its two.
    np.testing.assert_allclose(ds.final_energy, [1.80, 1.85, 1.845, 1.91])


def test_mantid_may_name_two_energies(tmp_path: Path) -> None:
    two = b"NEW;string;deltaE-mode;indirect|NEW/graphite;double;Efixed;1.845|NEW/mica;double;Efixed;0.8|"
    path = mantid(tmp_path / "a.nxs", **{"instrument_parameter_map/data": [two]})
    with pytest.raises(FileFormatError, match="final_energy="):
        xbp.open_dataset(path)
    assert float(xbp.open_dataset(path, final_energy=1.845).final_energy) == 1.845


def test_the_energy_of_the_conversion_made_the_axis(tmp_path: Path) -> None:
    record = (
        b"Algorithm: ConvertUnits v1\nParameters:\n  Name: Target, Value: DeltaE, Default?: No, Direction: Input\n"
        b"  Name: EMode, Value: Indirect, Default?: No\n  Name: EFixed, Value: 1.8463, Default?: No\n"
    )
    changes = {
        "instrument_parameter_map/data": [PARAMETERS],
        "process/MantidAlgorithm_12/data": [record],
    }
    assert (
        float(xbp.open_dataset(mantid(tmp_path / "a.nxs", **changes)).final_energy)
        == 1.8463
    )
    changes["process/MantidAlgorithm_12/data"] = [
        record.replace(b"1.8463", b"8.9884656743115785e+307")
    ]
    assert (
        float(xbp.open_dataset(mantid(tmp_path / "b.nxs", **changes)).final_energy)
        == 1.845
    )


@pytest.mark.parametrize(("mode", "known"), [(b"Indirect", True), (b"Direct", False)])
def test_k_i_over_k_f_of_the_same_geometry(
    tmp_path: Path, mode: bytes, known: bool
) -> None:
    record = (
        b"Algorithm: CorrectKiKf v1\nParameters:\n  Name: EMode, Value: "
        + mode
        + b", Default?: Yes\n"
    )
    changes = {
        "instrument_parameter_map/data": [PARAMETERS],
        "process/MantidAlgorithm_3/data": [record],
    }
    ds = xbp.open_dataset(mantid(tmp_path / "a.nxs", **changes))
    assert ("ki_over_kf" in ds.S.attrs) == known


def test_mantid_without_a_mode(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="geometry="):
        xbp.open_dataset(mantid(tmp_path / "a.nxs", **{"logs/Ei/value": [12.0]}))
    named = mantid(tmp_path / "b.nxs", name=b"LET", **{"logs/Ei/value": [12.0]})
    assert float(xbp.open_dataset(named).incident_energy) == 12
    high = mantid(tmp_path / "c.nxs", **{"logs/Ei/value": [60.0]})
    assert float(xbp.open_dataset(high).incident_energy) == 60
    neither = xbp.open_dataset(mantid(tmp_path / "d.nxs"))
    assert "geometry" not in neither.S.attrs


def test_masked_detectors_of_mantid(tmp_path: Path) -> None:
    masked = PARAMETERS + b"detID:12;bool;masked;1|detID:14;bool;masked;1|"
    ds = xbp.open_dataset(
        mantid(tmp_path / "a.nxs", **{"instrument_parameter_map/data": [masked]})
    )
    # Spectrum 4 has another detector beside the masked one.
    assert ds.masked.values.tolist() == [False, True, False, False]
    assert ds.S.isnull().all("E").values.tolist() == [False, True, False, False]


def test_an_elastic_q_is_said_to_be_one(tmp_path: Path) -> None:
    record = (
        b"Algorithm: ConvertSpectrumAxis v2\nParameters:\n  Name: Target, Value: ElasticQ, Default?: No\n"
        b"  Name: EMode, Value: Indirect, Default?: No\n  Name: EFixed, Value: 1.845, Default?: No\n"
    )
    changes = {
        "instrument_parameter_map/data": [PARAMETERS],
        "process/MantidAlgorithm_3/data": [record],
    }
    ds = xbp.open_dataset(mantid(tmp_path / "a.nxs", map_=True, **changes))
    assert [d.code for d in ds.bp.diagnostics()] == ["elastic_Q"]
    assert not xbp.open_dataset(
        mantid(
            tmp_path / "b.nxs",
            map_=True,
            **{"instrument_parameter_map/data": [PARAMETERS]},
        )
    ).bp.diagnostics()


@pytest.mark.slow
def test_files_of_direct_spectrometers(shared_data: Path) -> None:
    for name, energy in (
        ("benzene_290_360_inc.nxspe", 3.6), ("bmg_LRMECS_Ei78.nxspe", 78.31682438), ("nxspe_version1_0.nxspe", 800.0),
        ("MAR11001_test.nxspe", 12.97283725), ("MAR21335_Ei60meV.nxs", 59.37064727), ("../doors/inst_let_ei3p7_240_120.nxspe", 3.7),
    ):  # fmt: skip
        ds = xbp.open_dataset(shared_data / "ins" / name)
        assert ds.S.attrs["geometry"] == "direct"
        assert float(ds.incident_energy) == pytest.approx(energy)


def test_angles_from_high_to_low_are_refused_as_other_limits_are() -> None:
    glass = xbp.tutorial.open_dataset("zr46cu46al8_md")
    for call, units in (
        (lambda: glass.S.bp.kinematic_limits((135, 3), incident_energy=60), "degrees"),
        (lambda: glass.bp.cut_Q((135, 3)), "1/angstrom"),
    ):
        with pytest.raises(RangeError, match=f"runs from 135 to 3 {units}; the lower"):
            call()


@pytest.mark.parametrize("kind", ["inx", "lamp"])
def test_energy_gain_may_be_positive_in_files_of_lamp(
    kind: str, tmp_path: Path
) -> None:
    """The same spectrum is written with either sign of E."""
    options = test_fuzz.OPTIONS.get(kind, {})
    test_fuzz.FORMATS[kind](tmp_path / "a")
    right = xbp.open_dataset(tmp_path / "a", **options).load()
    turned = xbp.open_dataset(tmp_path / "a", **options, positive="gain")
    np.testing.assert_array_equal(turned.E, -right.E[::-1])
    for name in ("S", "S_std"):
        np.testing.assert_array_equal(turned[name], right[name][:, ::-1])


def test_a_gain_beyond_the_fixed_energy_names_the_argument(tmp_path: Path) -> None:
    test_fuzz.inx(tmp_path / "a.inx")
    text = (tmp_path / "a.inx").read_text().replace("13.088", " 1.000")
    (tmp_path / "a.inx").write_text(text)
    options = {"group": "Q", "energy_units": "meV"}
    with pytest.raises(FileFormatError, match="positive='gain'"):
        xbp.open_dataset(tmp_path / "a.inx", **options)
