"""The tables of the pages on glasses have the numbers of the embedded data."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.analysis.pair import correlation_error
from xbp.data.make_model_glasses import ANALYSIS
from xbp.models.dimension import debye_level

ROOT = Path(__file__).parents[2]
Q_RANGE = ("2.1 1/angstrom", "8.5 1/angstrom")
NAMES = ("kob_andersen", "inverse_power", "CuZr", "SiO2", "ZrCuAl")
NUMBER = re.compile(r"−?\d+(?:\.\d+)?")
R = ("pearson_r", "pearson_r_std")
#: Page, and a part of it.
LATTICE, GLASSES, SERIES = "lattice_glass.md", "glasses.md", "### Series"
KOB_ANDERSEN, MORE = "lattice_kob_andersen.md", "lattice_more_glasses.md"


def text_of(page: str) -> str:
    return (ROOT / "docs" / page).read_text()


def row(text: str, head: str) -> list[str]:
    """Return the cells of the first row of a table that begins with `head`."""
    found, *_ = (one for one in text.splitlines() if one.startswith(f"| {head} |"))
    return [cell.strip(" *") for cell in found.split("|")[2:-1]]


def agree(cell: str, *values: float) -> None:
    """Compare the first numbers of a cell, to their last digits."""
    said = [n.replace("−", "-") for n in NUMBER.findall(cell)]
    assert len(said) >= len(values), cell
    for number, value in zip(said, values, strict=False):
        step = 10.0 ** -len(number.partition(".")[2])
        assert float(number) == pytest.approx(value, abs=0.52 * step), cell


@pytest.fixture(scope="module")
def each() -> list[xr.Dataset]:
    """The g(E) of glasses a to d, their mean, 10 000 atoms, and 4000 at 300 K."""
    nodes = xbp.tutorial.open_datatree("zr46cu46al8_glasses").children.values()
    *small, large = (node["dos"].to_dataset() for node in nodes)
    mean = xbp.tutorial.open_dataset("zr46cu46al8")[["g", "g_std"]]
    md = xbp.tutorial.open_dataset("zr46cu46al8_md")[["g", "g_std"]]
    return [*small, mean, large, md]


@pytest.mark.slow
def test_the_table_of_densities_of_states(each: list[xr.Dataset]) -> None:
    text = text_of(LATTICE)
    whole = [one.bp.rebin(E=np.arange(0.6, 12.1, 0.4)) for one in each]
    for E in (0.8, 1.2, 1.6, 2.0, 2.4, 2.8, 3.2, 4.0, 5.2, 6.0):
        head = "g/E² (10⁻³ meV⁻³) at 0.8 meV" if E == 0.8 else f"{E}"
        cells = row(text, head)
        for i, one in enumerate(whole):
            at = one.sel(E=E, method="nearest")
            g, std = float(at.g), float(at.g_std)
            if i == 6:  # one box, whose modes are few
                std = max(std, g / np.sqrt(3 * 4000 * g * 0.4))
            agree(cells[i], 1e3 * g / E**2, 1e3 * std / E**2)
    for one, level in zip(each[:6], debye_levels(), strict=True):
        falls = one.bp.rebin(E=np.arange(9.0, 13.1, 0.4))
        below = falls.E[(1e3 * falls.g / falls.E**2 < level).values]
        assert 9.7 < float(below[0]) < 12.3


def pooled(some: list[xr.Dataset], atoms: list[int]) -> xr.Dataset:
    """Return the mean g(E) of glasses by atoms, with the larger of two errors."""
    w = np.array(atoms)[:, None] / sum(atoms)
    g = np.stack([one.g.values for one in some])
    std = np.stack([one.g_std.values for one in some])
    mean = (w * g).sum(axis=0)
    scatter = (w**2 * (g - mean) ** 2).sum(axis=0) / (1 - (w**2).sum())
    found = np.sqrt(np.maximum(scatter, (w**2 * std**2).sum(axis=0)))
    return some[0].assign(
        g=some[0].g.copy(data=mean), g_std=some[0].g_std.copy(data=found)
    )


#: Seeds of Zr46Cu46Al8: of 2000 atoms, and those of 1500 beside a to d.
LARGER, FURTHER = (21, 22, 23), (14, 15, 16, 17)
ENERGIES = (0.8, 1.2, 1.6, 2.0, 2.4, 2.8, 3.2, 4.0, 5.2, 6.0)


def head_of(E: float) -> str:
    return "g/E² (10⁻³ meV⁻³) at 0.8 meV" if E == 0.8 else f"{E}"


def coarse(g: xr.Dataset) -> xr.Dataset:
    return g.bp.rebin(E=np.arange(0.6, 12.1, 0.4))


def check_levels(text: str, glasses: list[xr.Dataset], E: float) -> list[xr.Dataset]:
    """Compare a row of g/E², and return its bins."""
    at = [coarse(one).sel(E=E, method="nearest") for one in glasses]
    for cell, one in zip(row(text, head_of(E)), at, strict=True):
        agree(cell, *(1e3 * float(x) / E**2 for x in (one.g, one.g_std)))
    return at


def check_fits(
    text: str, glasses: list[xr.Dataset], E_range: tuple[float, float]
) -> list[xr.Dataset]:
    cells = row(text, f"maximum, fit over {E_range[0]}–{E_range[1]} meV")
    peaks = [one.bp.to_bqe().bp.boson_peak(E_range=E_range) for one in glasses]
    for cell, peak in zip(cells, peaks, strict=True):
        if peak.status == "ok":
            agree(cell, float(peak.energy), float(peak.energy_std))
        else:
            assert cell == "none"
    return peaks


def densities(nodes: list[xr.DataTree]) -> list[xr.Dataset]:
    edges = np.arange(0.0, 12.01, 0.2)
    return [node["dos"].to_dataset().bp.rebin(E=edges) for node in nodes]


@pytest.fixture(scope="module")
def twelve() -> tuple[list[xr.Dataset], list[xr.Dataset]]:
    """The g(E) of the three of 2000 atoms, and the four averages of the table."""
    tree = xbp.tutorial.open_datatree("metallic_glasses")
    *small, large = xbp.tutorial.open_datatree("zr46cu46al8_glasses").children.values()
    seeds = [tree[f"Zr46Cu46Al8_{seed}"] for seed in (*LARGER, *FURTHER)]
    g = densities([*seeds[:3], *small, *seeds[3:], large])
    atoms = [2000] * 3 + [1500] * 8 + [10_000]
    parts = ((0, 3), (3, 11), (0, 11), (0, 12))
    return g[:3], [pooled(g[begin:end], atoms[begin:end]) for begin, end in parts]


def test_the_table_of_twelve_glasses(
    twelve: tuple[list[xr.Dataset], list[xr.Dataset]],
) -> None:
    text = text_of(MORE)
    first, sets = twelve
    apart = []
    for E in ENERGIES:
        three, eight = check_levels(text, [*first, *sets], E)[3:5]
        apart.append(float((three.g - eight.g) / np.hypot(three.g_std, eight.g_std)))
    assert f"by {np.sqrt(np.mean(np.square(apart[1:]))):.1f} standard dev" in text
    assert f"at 3.2 meV by {apart[6]:.1f}." in text
    assert abs(apart[0]) > 3
    for E_range in ((0.9, 8), (1.2, 8)):
        check_fits(text, [*first, *sets], E_range)


def test_what_twelve_glasses_have(
    twelve: tuple[list[xr.Dataset], list[xr.Dataset]],
) -> None:
    whole = " ".join(text_of(MORE).split())
    of_all = twelve[1][3]
    # The maximum of the twelve survives wider bins; that of the large glass does not.
    wider = np.arange(0.0, 12.01, 0.4)
    peak = of_all.bp.rebin(E=wider).bp.to_bqe().bp.boson_peak(E_range=(0.9, 8))
    assert peak.status == "ok"
    tree = xbp.tutorial.open_datatree("zr46cu46al8_glasses")
    large = tree["zr46cu46al8_10k_glass/dos"].to_dataset()[["g", "g_std"]]
    alone = large.bp.rebin(E=wider).bp.to_bqe().bp.boson_peak(E_range=(0.9, 8))
    assert alone.status != "ok"
    narrow, wide = (
        of_all.bp.to_bqe().bp.boson_peak(
            E_range=(low, 8), debye_level="3.5e-4 1/meV**3"
        )
        for low in (1.2, 0.9)
    )
    for peak in (narrow, wide):
        assert f"{float(peak.energy):.2f} ± {float(peak.energy_std):.2f}" in whole
    assert f"It is {float(wide.excess):.1f} times the Debye level" in whole
    top, side = (
        float(coarse(of_all).g.sel(E=E, method="nearest")) / E**2 for E in (2.4, 3.2)
    )
    assert f"only {100 * (top / side - 1):.0f} % above g/E² at 3.2 meV" in whole
    shoulder = of_all.bp.rebin(E=np.array([1.0, 1.8]))
    relative = float(shoulder.g_std[0] / shoulder.g[0])
    assert f"From 1 to 1.8 meV the average is known to {100 * relative:.0f} %" in whole
    assert 3 * relative < 0.1


@pytest.mark.slow
def test_sizes_differ_at_the_lowest_energy_without_soft_glasses() -> None:
    tree = xbp.tutorial.open_datatree("metallic_glasses")
    *small, _ = xbp.tutorial.open_datatree("zr46cu46al8_glasses").children.values()
    quiet = [small[i] for i in (0, 1, 3)]
    quiet += [tree[f"Zr46Cu46Al8_{seed}"] for seed in FURTHER[1:]]
    sets = densities(quiet), densities([tree[f"Zr46Cu46Al8_{n}"] for n in LARGER])
    at = [coarse(pooled(g, [1] * len(g))).sel(E=0.8, method="nearest") for g in sets]
    apart = float((at[0].g - at[1].g) / np.hypot(at[0].g_std, at[1].g_std))
    assert f"is still {apart:.1f} standard deviations" in text_of(MORE)


def test_correlations_of_strains_that_are_quoted() -> None:
    table = xbp.tutorial.open_dataset("zr46cu46al8_fluctuations")
    strains = (table.Omega.sel(field=f"{x}_strain") for x in ("volumetric", "shear"))
    volume, shear = (x.bp.correlation_map(table.Sq, Q_RANGE) for x in strains)
    agree("−0.6 ± 0.2", *(float(volume[n].interp(E=2.3)) for n in R))
    agree("0.7 ± 0.2", *(float(volume[n].interp(E=8)) for n in R))
    for E in (10, 12, 15):
        assert float(shear.pearson_r.interp(E=E)) < -2 * float(
            shear.pearson_r_std.interp(E=E)
        )


@pytest.mark.parametrize("some", [LARGER, FURTHER])
def test_the_moduli_of_twelve_glasses(some: tuple[int, ...]) -> None:
    text = text_of(MORE)
    if some is FURTHER:
        text = text.partition("The four further glasses")[2]
    tree = xbp.tutorial.open_datatree("metallic_glasses")
    nodes = [tree[f"Zr46Cu46Al8_{seed}"] for seed in some]
    for i, node in enumerate(nodes):
        own = debye_level(float(node["elastic"].debye_energy), 3)
        check_moduli(text, i, node["elastic"].to_dataset())
        peak = node["dos"].to_dataset().bp.to_bqe().bp.boson_peak(
            E_range=(0.9, 8), debye_level=f"{own} 1/meV**3"
        )  # fmt: skip
        heights = row(text, "height over this level")
        agree(heights[i], float(peak.excess), float(peak.excess_std))
    if some is FURTHER:
        g = densities(nodes)
        for E in (0.8, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0):
            check_levels(text, g, E)
        check_fits(text, g, (0.9, 8))


@pytest.mark.slow
def test_spectra_of_boxes_of_2000_atoms() -> None:
    text = " ".join(text_of(MORE).split())
    tree = xbp.tutorial.open_datatree("metallic_glasses")
    names = [f"Zr46Cu46Al8_{seed}" for seed in LARGER]
    found = [of_spectra(tree[name]["spectra"].to_dataset()) for name in names]
    first, second, third = found
    for key, digits, end in (
        ("r", 3, "at 3.25 meV"), ("r_15", 2, "at 15"), ("r_20", 2, "at 20"), ("rms", 0, "%")
    ):  # fmt: skip
        a, b, c = (f"{one[key]:.{digits}f}".replace("-", "−") for one in found)
        assert f"{a}, {b} and {c} {end}" in text
    assert f"passes at {second['count']} of 128 Q, at {second['line']}" in text
    assert f"in the first at {first['count']} of 128, around {first['mean']:.1f}" in text  # fmt: skip
    assert f"in the third at {third['count']}, around {third['mean']:.1f}" in text
    text = text.partition("## Two other metallic glasses")[2]
    one = of_spectra(tree["Zr56Cu36Al8_31/spectra"].to_dataset())
    said = (
        f"passes at {one['count']} of 128 Q, at {one['line']}; r with S(Q) is "
        f"{one['r']:.3f} at 3.25 meV, {one['r_15']:.2f} at 15 and {one['r_20']:.2f} "
        f"at 20, and B/(A·S) deviates by {one['rms']:.0f} %"
    )
    assert said.replace("-", "−") in text


def of_spectra(one: xr.Dataset) -> dict[str, float | str]:
    """Return what the page says of S(Q,E) of one glass."""
    b = one.bp.to_bqe()
    fit = b.bp.cut_E(3.25, 0.5).bp.scale_to_sq(one.Sq, Q_RANGE)
    whole = b.bp.correlation_map(one.Sq, Q_RANGE).pearson_r
    peak = b.sel(Q=slice(2.1, 8.5)).bp.boson_peak(E_range=(0.9, 8))
    found = peak.bp.dispersion()
    mean, slope = (
        f"{float(found[n]):.{digits}f} ± {float(found[f'{n}_std']):.{digits}f}"
        for n, digits in (("mean_energy", 2), ("slope", 3))
    )
    line = f"a mean energy of {mean} meV with a slope of {slope} meV Å"
    return {
        "count": int((peak.status == "ok").sum()),
        "mean": float(found.mean_energy),
        "line": line.replace("-", "−"),
        "r": float(fit.pearson_r),
        "r_15": float(whole.interp(E=15)),
        "r_20": float(whole.interp(E=20)),
        "rms": 100 * float(fit.ratio_rms),
    }


def check_moduli(text: str, i: int, elastic: xr.Dataset) -> None:
    level = debye_level(float(elastic.debye_energy), 3)
    speeds = (elastic.longitudinal_velocity, elastic.transverse_velocity)
    agree(row(text, "v_L, v_T (m/s)")[i], *map(float, speeds))
    agree(row(text, "Debye level (10⁻³ meV⁻³)")[i], 1e3 * level)


def test_the_table_of_other_glasses() -> None:
    text = text_of(MORE).partition("## Two other metallic glasses")[2]
    tree = xbp.tutorial.open_datatree("metallic_glasses")
    names = ("Zr56Cu36Al8_31", "Cu64.5Zr35.5_41", "Cu64.5Zr35.5")
    for i, name in enumerate(names):
        g, elastic = tree[name]["dos"].to_dataset(), tree[name]["elastic"].to_dataset()
        check_moduli(text, i, elastic)
        coarse = g.bp.rebin(E=np.arange(0.6, 12.1, 0.4))
        for E in (0.8, 1.2, 1.6, 2.0, 2.4, 2.8, 3.2, 4.0, 5.2, 6.0):
            head = "g/E² (10⁻³ meV⁻³) at 0.8 meV" if E == 0.8 else f"{E}"
            at = coarse.sel(E=E, method="nearest")
            agree(
                row(text, head)[i], *(1e3 * float(x) / E**2 for x in (at.g, at.g_std))
            )
        known = f"{debye_level(float(elastic.debye_energy), 3)} 1/meV**3"
        peak = g.bp.to_bqe().bp.boson_peak(E_range=(0.9, 8), debye_level=known)
        agree(
            row(text, "height over this level")[i],
            float(peak.excess),
            float(peak.excess_std),
        )
        fit = row(text, "maximum of g/E², fit over 0.9–8 meV")[i]
        if peak.status == "ok":
            agree(fit, float(peak.energy), float(peak.energy_std))
        else:
            assert fit.startswith(f'none ("{peak.status.values}"); highest at ')
            agree(fit, float(peak.excess_energy))


@pytest.mark.slow
def test_the_table_of_temperatures() -> None:
    text = text_of(MORE).partition("## Temperature")[2]
    large = xbp.tutorial.open_datatree("zr46cu46al8_glasses")["zr46cu46al8_10k_glass"]
    heated = xbp.tutorial.open_datatree("metallic_glasses")["Zr46Cu46Al8_10000/heated"]
    hot = heated.to_dataset()[["g", "g_std"]]
    assert hot.temperature.values.tolist() == [20, 100, 200, 300]
    runs = [hot.isel(temperature=i) for i in range(4)]
    g = [large["dos"].to_dataset()[["g", "g_std"]], *runs]
    for E in ENERGIES:
        check_levels(text, g, E)
    parts = [one.bp.rebin(E=np.array([1.0, 1.8, 4.2, 6.0])) for one in g]
    of_rest = [against(one, parts[0]) for one in parts[1:]]
    of_cold = [against(one, parts[1]) for one in parts[2:]]
    check_ratios(text, "g over that at rest, 1.8–4.2 meV", [one[1] for one in of_rest])
    check_ratios(text, "4.2–6 meV", [one[2] for one in of_rest])
    check_ratios(text, "g over that at 20 K, 1–1.8 meV", [one[0] for one in of_cold])
    check_ratios(text, "1.8–4.2 meV", [one[1] for one in of_cold])
    ratio, error = of_rest[0][0]
    assert f"the run has {100 * (ratio - 1):.0f} ± {100 * error:.0f} % more" in text
    for i, said in ((1, "grows by {} from 20 to"), (0, "it grows by {}, which")):
        ratio, error = of_cold[2][i]
        found = f"{100 * (ratio - 1):.0f} ± {100 * error:.0f} %"
        assert said.format(found) in text
    for one in runs:
        peak = one.bp.to_bqe().bp.boson_peak(E_range=(1.2, 8))
        assert peak.status == "maximum at edge"


def against(one: xr.Dataset, other: xr.Dataset) -> list[tuple[float, float]]:
    """Return the ratio of two g(E) and its error, of each bin."""
    ratio = one.g / other.g
    error = ratio * np.hypot(one.g_std / one.g, other.g_std / other.g)
    return list(zip(ratio.values.tolist(), error.values.tolist(), strict=True))


def check_ratios(text: str, head: str, found: list[tuple[float, float]]) -> None:
    for cell, pair in zip(row(text, head)[-len(found) :], found, strict=True):
        agree(cell, *pair)


def test_what_a_slow_quench_of_copper_zirconium_has() -> None:
    text = " ".join(text_of(MORE).split())
    tree = xbp.tutorial.open_datatree("metallic_glasses")
    quick, slow = (tree[name] for name in ("Cu64.5Zr35.5_41", "Cu64.5Zr35.5"))
    edges = np.array([1.4, 2.2, 4.2, 6.0])
    g = [one["dos"].to_dataset()[["g", "g_std"]] for one in (slow, quick)]
    ratios = against(*(one.bp.rebin(E=edges) for one in g))
    a, b, c = (f"{ratio:.2f} ± {error:.2f}" for ratio, error in ratios)
    assert f"is {a} times that of the quick one from 1.4 to 2.2 meV, {b}" in text
    assert f"from 2.2 to 4.2 and {c} from 4.2 to 6." in text
    own, other = (
        debye_level(float(one["elastic"].debye_energy), 3) for one in (slow, quick)
    )
    assert f"lower too, {own / other:.2f} times" in text
    plateau = float(g[0].bp.rebin(E=np.array([2.2, 4.2])).g[0])
    level = plateau * 2.0 / ((4.2**3 - 2.2**3) / 3)
    assert f"at {level / own:.1f} times its Debye level" in text


def debye_levels() -> list[float]:
    """Return the Debye levels of a to d, their mean and 10 000 atoms, 10⁻³ meV⁻³."""
    cells = row(text_of(LATTICE), "Debye level (10⁻³ meV⁻³)")
    return [float(NUMBER.findall(cell)[0]) for cell in cells[:6]]


@pytest.mark.slow
def test_debye_levels_follow_from_the_velocities() -> None:
    text, glass = text_of(LATTICE), xbp.tutorial.open_dataset("zr46cu46al8")
    cells = row(text, "v_L, v_T (m/s), by elastic constants; MD: by currents")
    node = xbp.tutorial.open_datatree("zr46cu46al8_glasses")["11/at_rest"]
    n = 1500 / abs(np.linalg.det(node.cell.values.reshape(3, 3)))
    levels = row(text, "Debye level (10⁻³ meV⁻³)")
    v = []
    for i in (0, 1, 2, 3, 5, 6, 7):
        said = [float(x) for x in NUMBER.findall(cells[i].replace("± ", ""))]
        v_L, v_T = said if len(said) == 2 else said[::2]
        v.append((v_L, v_T))
        speed = (3 / (v_L**-3 + 2 * v_T**-3)) ** (1 / 3)
        energy = 6.582119569e-3 * speed * (6 * np.pi**2 * n) ** (1 / 3)
        # Of MD to two digits; velocities are whole numbers.
        assert 3e3 / energy**3 == pytest.approx(
            float(NUMBER.findall(levels[i])[0]), abs=1.2e-3 if i < 6 else 5e-3
        )
    mean, std = np.mean(v[:4], axis=0), np.std(v[:4], axis=0, ddof=1) / 2
    np.testing.assert_allclose(glass.velocity, mean, atol=0.6)
    np.testing.assert_allclose(glass.velocity_std, std, atol=0.6)
    own = zip(glass.velocity.values, glass.velocity_std.values, strict=True)
    agree(cells[4], *(float(x) for pair in own for x in pair))
    level = 1e3 * debye_level(float(glass.debye_energy), 3)
    relative = 3 * float(glass.debye_energy_std / glass.debye_energy)
    agree(levels[4], level, level * relative)


@pytest.mark.slow
def test_velocities_and_levels_are_those_of_the_embedded_moduli() -> None:
    text, tree = text_of(LATTICE), xbp.tutorial.open_datatree("zr46cu46al8_glasses")
    cells = row(text, "v_L, v_T (m/s), by elastic constants; MD: by currents")
    found = [node["elastic"] for node in tree.children.values()]
    for i, level, one in zip((0, 1, 2, 3, 5), (*debye_levels()[:4], debye_levels()[5]), found, strict=True):  # fmt: skip
        agree(
            cells[i], float(one.longitudinal_velocity), float(one.transverse_velocity)
        )
        own = 1e3 * debye_level(float(one.debye_energy), 3)
        assert own == pytest.approx(level, abs=0.52e-3)


@pytest.mark.slow
def test_what_holds_for_one_glass_does_not_hold_for_the_next() -> None:
    tree = xbp.tutorial.open_datatree("zr46cu46al8_glasses")
    text = " ".join(text_of(LATTICE).split())
    three = [
        n["spectra"].to_dataset() for n in tree.children.values() if "spectra" in n
    ]
    peaks, r, rms = [], [], []
    for one in three:
        b = one.bp.to_bqe()
        peaks.append(b.sel(Q=slice(2.1, 8.5)).bp.boson_peak(E_range=(0.9, 8)))
        fit = b.bp.cut_E(3.25, 0.5).bp.scale_to_sq(one.Sq, Q_RANGE)
        whole = b.bp.correlation_map(one.Sq, Q_RANGE).pearson_r
        r.append([float(fit.pearson_r), *(float(whole.interp(E=E)) for E in (15, 20))])
        rms.append(f"{100 * float(fit.ratio_rms):.0f}")
    n, other, none = (int((peak.status == "ok").sum()) for peak in peaks)
    assert f"one passes at {n} of {peaks[0].status.size} Q" in text
    assert f"In b {other} of 128 pass and in c none" in text
    assert none == 0
    a = peaks[0].bp.dispersion()
    mean, slope = (f"{float(a[k]):.{d}f} ± {float(a[f'{k}_std']):.{d}f}".replace("-", "−") for k, d in (("mean_energy", 2), ("slope", 3)))  # fmt: skip
    assert f"mean energy of {mean} meV" in text
    assert f"(slope {slope} meV Å)" in text
    assert f"deviates by {rms[0]}, {rms[1]} and {rms[2]} %" in text
    at = np.array(r)
    assert f"is {', '.join(f'{x:.3f}' for x in at[:, 0])} at 3.25 meV" in text
    np.testing.assert_allclose(at[:, 1], 0.17, atol=0.01)
    np.testing.assert_allclose(at[:, 2], -0.79, atol=0.01)


def test_the_fits_of_the_table(each: list[xr.Dataset]) -> None:
    text = text_of(LATTICE)
    heights = row(text, "height over this level")
    fits = row(text, "maximum of g/E², fit over 0.9–8 (MD: 1.2–8) meV")
    for one, level, height, fit in zip(
        each[:6], debye_levels(), heights, fits, strict=False
    ):
        peak = one.bp.to_bqe().bp.boson_peak(
            E_range=(0.9, 8), debye_level=f"{level * 1e-3} 1/meV**3"
        )
        agree(height, float(peak.excess), float(peak.excess_std))
        if peak.status == "ok":
            agree(fit, float(peak.energy), float(peak.energy_std))
        else:
            assert fit.startswith("none")
            agree(fit, float(peak.excess_energy))
    md = each[6].bp.to_bqe().bp.boson_peak(E_range=(1.2, 8))
    assert f'none ("{md.status.values}")' == fits[6]


def test_what_the_average_has_and_the_paper_has_not(unboxed: xr.Dataset) -> None:
    text = " ".join(text_of(LATTICE).split())
    b = unboxed.bp.to_bqe()
    fits = {
        E: b.bp.cut_E(E, 0.5).bp.scale_to_sq(unboxed.Sq, Q_RANGE)
        for E in (1.25, 3.25, 5, 8, 10, 15, 20)
    }
    (said,) = re.findall(r"wherever the energy is low\*\* \(([^)]*)\)", text)
    pairs = re.findall(r"(−?\d\.\d\d) at (\d+(?:\.\d+)?)", said)
    assert len(pairs) == 7
    for number, E in pairs:
        agree(number, float(fits[float(E)].pearson_r))
    ratio = fits[3.25].ratio.sel(Q=slice(4, None)) - 1
    assert f"{100 * float(fits[3.25].ratio_rms):.0f} % over 2.1–8.5 Å⁻¹" in text
    assert f"by {100 * float(np.sqrt((ratio**2).mean())):.0f} % beyond 4 Å⁻¹" in text
    for E in (3.25, 15):
        assert f"{float(fits[E].pearson_r_std):.2f} at {E}" in text
    eq2 = b.sel(E=slice(0.5, 20)).bp.fit_bqe(unboxed.Sq, "free", Q_range=Q_RANGE)
    cells = json.loads((ROOT / "notebooks" / "2_the_paper.ipynb").read_text())["cells"]
    notebook = " ".join("".join(cell["source"]) for cell in cells)
    one, two, three = (float(eq2.rms_E.interp(E=E)) for E in (1.5, 3.25, 8))
    assert (
        f"{one:.2f} at 1.5 meV, {two:.2f} at 3.25 meV and {three:.2f} at 8" in notebook
    )


def test_the_theory_of_fluctuating_elasticity_has_no_such_excess() -> None:
    """With the variance of the shear modulus of glass b, a seventh at most."""
    E = np.arange(0.3, 20, 0.1)
    known = {"area": 1, "energy_D": "20.14 meV", "disorder": 0.10}
    g = xbp.models.evaluate("fluctuating_elasticity_dos", E, **known).g.values
    assert (g / E**2).max() / (g[0] / E[0] ** 2) == pytest.approx(8 / 7, abs=0.02)


@pytest.mark.slow
def test_the_table_of_a_run_of_4000_atoms(glass: xr.Dataset) -> None:
    text = text_of("md_spectra.md")
    b = glass.bp.to_bqe()
    (cell,) = row(text, "Pearson's r of B(Q,E) with S(Q), 2.1–8.5 Å⁻¹")
    pairs = re.findall(r"(−?\d\.\d\d) \(([\d.]+)", cell)
    assert len(pairs) == 9
    for number, E in pairs:
        cut = b.bp.cut_E(float(E), 0.5)
        agree(number, float(cut.bp.scale_to_sq(glass.Sq, Q_RANGE).pearson_r))
    B = b.bp.cut_Q(Q_RANGE)
    level = B.B.sel(E=slice(1.6, 3.4))
    assert float(abs(level / level.mean() - 1).max()) == pytest.approx(0.06, abs=5e-3)
    assert text.count("level within 6 %") == 1
    ignored = B.drop_vars("box_phonon")
    ignored.B.attrs["origin"] = "measurement"
    gap = [ignored.bp.boson_peak(E_range=(1.2, end)).energy for end in (8, 12, 20)]
    assert f"gives {min(gap):.1f} to {max(gap):.1f} meV" in text
    for start in (1.3, 1.7, 2.2):
        assert ignored.bp.boson_peak(E_range=(start, 12)).status != "ok"


@pytest.mark.parametrize(("column", "name"), list(enumerate(NAMES)))
def test_the_table_of_five_glasses(column: int, name: str) -> None:
    text, tree = text_of(GLASSES), xbp.tutorial.open_datatree(name)
    s, f = (tree[part].to_dataset() for part in ("spectra", "fluctuations"))
    *_, E_range, Q_range, _ = ANALYSIS[name]
    box = float(s.box_phonon)

    def cell(head: str) -> str:
        return row(text, head)[column]

    T_g = tree["transition"]
    digits = 10 if name == "SiO2" else 1
    said = [float(x) for x in NUMBER.findall(cell("T_g from the kink (K)"))]
    np.testing.assert_allclose(said, [T_g.Tg, T_g.Tg_std], atol=0.52 * digits)
    agree(cell("first phonon of the box (meV)"), box)
    agree(cell("first maximum of S(Q) (Å⁻¹)"), float(s.Q[np.nanargmax(s.Sq)]))
    b = s.bp.to_bqe()
    r = b.bp.correlation_map(s.Sq, Q_range).pearson_r
    at = (1, 2, 4, 8, 10)
    head = "r of B(Q,E) with S(Q) at 1, 2, 4, 8, 10 × box phonon"
    agree(cell(head), *(float(r.interp(E=k * box)) for k in at))
    average = b.bp.cut_Q(Q_range).B.sel(E=slice(*E_range))
    highest = float(average.E[average.argmax("E")])
    assert abs(highest - box) < float(average.E[1] - average.E[0])
    shear = f.sel(field="shear_strain")
    chi = cell("maximum of χ(E) of the shear strain (meV)")
    if shear.chi_status == "ok":
        agree(chi, float(shear.chi_energy), float(shear.chi_energy_std))
        assert 1.4 < float(shear.chi_energy) / box < 1.6
    else:
        assert chi == "none found"
    counts = (float(shear[n]) for n in ("mean_energy", "n_peaks", "n_Q"))
    agree(cell("maxima of its Ω(Q,E) (meV), at n Q"), *counts)
    inside = f.Q.isin(f.Q.sel(Q=slice(*Q_range))).values
    omega = f.Omega.interp(E=float(f.E_BP)).isel(Q=inside)
    for field, head in (
        ("shear_strain", "r of Ω with S(Q) at 0.95, 0.95, 3.8, 8.1, 3.8 meV: shear strain"),
        ("coordination", "coordination"),
        ("volumetric_strain", "volumetric strain"),
    ):  # fmt: skip
        own = float(f.r_at_boson_peak.sel(field=field))
        std = error_of(omega.sel(field=field).values, f.Sq.values[inside], own)
        agree(cell(head), own)
        assert float(NUMBER.findall(cell(head))[1]) == pytest.approx(std, abs=0.011)


def error_of(x: np.ndarray, y: np.ndarray, r: float) -> float:
    """Return the error of r by another route: n_eff from sums over lags, one by one."""
    x, y = x - x.mean(), y - y.mean()
    n, total = x.size, 1.0
    for lag in range(1, n):
        product = (x[lag:] @ x[:-lag]) / (x @ x) * (y[lag:] @ y[:-lag]) / (y @ y)
        if product <= 0:
            break
        total += 2 * product
    return float(correlation_error(np.array(r), np.array(n / total)))


@pytest.mark.slow
def test_the_table_of_the_series() -> None:
    tree, text = xbp.tutorial.open_datatree("kob_andersen_series"), text_of(GLASSES)
    lines = text.partition(SERIES)[2].splitlines()
    rows = [one.split("|")[1:-1] for one in lines if one.startswith("| 10")]
    assert len(rows) == 5
    for rate, atoms, box, g, u2, fit, r in rows:
        size = float(atoms.replace(" ", ""))
        dim = "cooling_rate" if size == 16000 else "n_atoms"
        power = {"10¹²": 1e12, "10¹¹": 1e11, "10¹⁰": 1e10}[rate.strip()]
        one = tree[dim].to_dataset()
        one = one.sel({dim: power if size == 16000 else size})
        agree(box, float(one.box_phonon))
        agree(u2, float(one.u2))
        energies = (0.31, 0.41, 0.52, 0.83, 1.55)
        level = 1e3 * one.g / one.E**2
        agree(g, *(float(level.sel(E=E, method="nearest")) for E in energies))
        b = one.bp.to_bqe()
        c = b.bp.correlation_map(one.Sq, (1.4, 4.2)).pearson_r
        agree(r, *(float(c.interp(E=E)) for E in (0.5, 2, 4, 6)))
        ignored = b.bp.cut_Q((1.4, 4.2)).drop_vars("box_phonon")
        ignored.B.attrs["origin"] = "measurement"
        peak = ignored.bp.boson_peak(E_range=(0.25, 1.5))
        if peak.status == "ok":
            agree(fit, float(peak.energy), float(peak.energy_std))
        else:
            assert fit.strip() == "none"
    g = tree["cooling_rate"].to_dataset().g
    modes = 3 * 16000 * g.sel(E=slice(0.36, 0.67)).sum("E") * float(g.E[1] - g.E[0])
    slow, middle, fast = modes.values
    assert f"has {fast:.0f} modes, that at 10¹¹ {middle:.0f}" in text
    assert f"10¹⁰ {slow:.0f} (each ± 15, by counting)" in text
    assert 2 < (fast - slow) / np.sqrt(fast + slow) < 2.5


def test_the_table_of_fields() -> None:
    table = xbp.tutorial.open_dataset("zr46cu46al8_fluctuations")
    text = text_of("fluctuations.md").replace("**shear strain**", "shear strain")
    text = text.replace("neighbor distance |", "neighbor_distance |")
    for field, head in (
        ("coordination", "coordination"),
        ("neighbor_distance", "neighbor_distance"),
        ("d2min", "D²_min"),
        ("volumetric_strain", "volumetric strain"),
        ("shear_strain", "shear strain"),
        ("von_mises_strain", "von Mises strain"),
    ):
        one = table.sel(field=field)
        chi, mean, n, slope, r = row(text, head)
        agree(r, float(one.r_at_boson_peak), float(one.r_at_boson_peak_std))
        agree(n, float(one.n_peaks))
        if chi == "none":
            assert one.chi_status != "ok"
            continue
        agree(chi, float(one.chi_energy), float(one.chi_energy_std))
        agree(mean, float(one.mean_energy), float(one.scatter))
        agree(slope, float(one.slope), float(one.slope_std))
    shown = table.sel(field="volumetric_strain").Omega.sel(E=slice(0.8, None))
    phonons = table.phonon_energy.sel(branch="longitudinal", Q_branch=slice(0, 1.1))
    top = shown.idxmax("E").interp(Q=phonons.Q_branch, method="nearest")
    assert float(abs(top - phonons).max()) < 1


def test_how_well_the_low_side_is_known(each: list[xr.Dataset]) -> None:
    shoulder = each[4].bp.rebin(E=np.array([1.0, 1.8]))
    relative = float(shoulder.g_std[0] / shoulder.g[0])
    text = text_of(LATTICE)
    said = f"From 1 to 1.8 meV the average of a to d is known to {100 * relative:.0f} %"
    assert said in text
    assert 3 * relative > 0.2


def test_what_is_said_of_B_and_shear_strain_at_one_energy() -> None:
    table = xbp.tutorial.open_dataset("zr46cu46al8_fluctuations")
    shear = table.Omega.sel(field="shear_strain")
    ratios, r = [], []
    for data in (shear, table.B, table.Sq):
        one = data.bp.cut_E("3.2 meV", width="0.8 meV") if "E" in data.dims else data
        first, after = one.sel(Q=slice(2.1, 3.2)), one.sel(Q=slice(3.2, 4.3))
        ratios.append(float(first.max() / after.min()))
        if "E" in data.dims:
            r.append(float(one.bp.scale_to_sq(table.Sq, Q_range=Q_RANGE).pearson_r))
    text = " ".join(text_of("fluctuations.md").split())
    (said,) = re.findall(r"its first maximum is (.*) times\.", text)
    agree(said, *ratios)
    (said,) = re.findall(r"r is (0.* for B and 0.*) for the shear strain", text)
    agree(said, *reversed(r))


@pytest.mark.slow
def test_slower_quenches_of_kob_andersen() -> None:
    page = text_of(KOB_ANDERSEN).partition("## Slower quenches")[2]
    tree = xbp.tutorial.open_datatree("kob_andersen_glasses")
    names = ("1000", "1000_1e11", "1000_1e10")
    rates = [tree[f"{name}/spectra"].to_dataset() for name in names]
    for i, one in enumerate(rates):
        g = one[["g", "g_std"]]
        for E in (0.4, 0.6, 0.8, 1.2, 2.0):
            head = "g/E² (10⁻³ meV⁻³) at 0.4 meV" if E == 0.4 else f"{E}"
            at = g.bp.rebin(E=np.arange(0.3, 2.4, 0.2)).sel(E=E, method="nearest")
            values = (1e3 * float(x) / E**2 for x in (at.g, at.g_std))
            agree(row(page, head)[i], *values)
        speeds = row(page, "v_L, v_T (m/s), by elastic constants")[i]
        agree(speeds, *one.velocity.values)
        level = debye_level(float(one.debye_energy), 3)
        agree(row(page, "Debye level (10⁻³ meV⁻³)")[i], 1e3 * level)
        peak = g.bp.to_bqe().bp.boson_peak(
            E_range=(0.3, 2), debye_level=f"{level} 1/meV**3"
        )
        height = row(page, "highest g/E² over this level")[i]
        agree(height, float(peak.excess), float(peak.excess_std))
        g = g.bp.to_bqe()
        peak = g.bp.boson_peak(E_range=(0.2, 2))
        found = row(page, "maximum of g/E², fit over 0.2–2 meV")[i]
        assert found == f'none ("{peak.status.values}")'
        found = row(page, "over 0.1–2 meV")[i]
        peak = g.bp.boson_peak(E_range=(0.1, 2))
        if peak.status == "ok":
            agree(found, float(peak.energy), float(peak.energy_std))
            wide = one[["g", "g_std"]].bp.rebin(E=np.arange(0.1, 2.4, 0.2)).bp.to_bqe()
            assert wide.bp.boson_peak(E_range=(0.1, 2)).status != "ok"
        else:
            assert found == f'none ("{peak.status.values}")'
        r = one.bp.to_bqe().bp.correlation_map(one.Sq, (1.5, 7)).pearson_r
        said = row(page, "r of B with S(Q) at 0.45, 1.05, 2.05, 3.05, 4.05, 6 meV")[i]
        agree(said, *(float(r.interp(E=E)) for E in (0.45, 1.05, 2.05, 3.05, 4.05, 6)))
    low = [one[["g", "g_std"]].bp.rebin(E=np.array([0.3, 0.9])) for one in rates]
    for one, rate in zip(low[1:], ("10¹¹", "10¹⁰"), strict=True):
        ((ratio, error),) = against(one, low[0])
        assert f"{ratio:.2f} ± {error:.2f} ({rate} K/s)" in page
    B = rates[2].bp.to_bqe().sel(Q=slice(1.5, 7))
    wide, narrow = (
        int((B.bp.boson_peak(E_range=(first, 2)).status == "ok").sum())
        for first in (0.2, 0.3)
    )
    assert f"at {wide} of {B.Q.size} Q ({narrow} over 0.3–2 meV)" in page
    level, error = lowest(rates[2])
    assert f"{level:.1f} ± {error:.1f} (10⁻³ meV⁻³) from 0.1 to 0.3 meV" in page


def lowest(one: xr.Dataset) -> tuple[float, float]:
    """Return g/E² from 0.1 to 0.3 meV, 10⁻³ meV⁻³, and its error."""
    g = one[["g", "g_std"]].bp.rebin(E=np.array([0.1, 0.3])).isel(E=0)
    return tuple(float(1e3 * x / g.E**2) for x in (g.g, g.g_std))


@pytest.mark.slow
def test_single_kob_andersen_glasses_differ() -> None:
    page = text_of(KOB_ANDERSEN)
    nodes = xbp.tutorial.open_datatree("kob_andersen_glasses")["1000"].children
    found = [
        node.to_dataset().bp.to_bqe().bp.boson_peak(E_range=(0.2, 2))
        for name, node in nodes.items()
        if name != "spectra"
    ]
    at = [float(peak.energy) for peak in found if peak.status == "ok"]
    assert (len(found), len(at)) == (16, 4)
    assert f"({min(at):.2f} to {max(at):.2f} meV)" in page
    mean = nodes["spectra"].to_dataset()
    level, error = lowest(mean)
    assert f"0.1 to 0.3 meV, {level:.1f} ± {error:.1f} (10⁻³ meV⁻³)" in page
    above = mean[["g", "g_std"]].bp.rebin(E=np.array([0.3, 0.5])).isel(E=0)
    off = 1e3 * float(above.g) / 0.4**2 - level
    error = float(np.hypot(error, 1e3 * float(above.g_std) / 0.4**2))
    assert f"is {off / error:.1f} standard" in page
    steady = mean[["g", "g_std"]].bp.rebin(E=np.arange(0.4, 2.41, 0.2))
    assert float((steady.g_std / steady.g).max()) < 0.03
    assert (np.diff(steady.g / steady.E**2) < 0).all()
    debye = debye_level(float(mean.debye_energy), 3)
    crossing = np.interp(-debye, -steady.g / steady.E**2, steady.E)
    assert f"reaches this level at {crossing:.1f} meV" in page
    B = mean.bp.to_bqe().sel(Q=slice(1.5, 7))
    assert B.Q.size == 110
    for first in (0.2, 0.3):
        assert not (B.bp.boson_peak(E_range=(first, 2)).status == "ok").any()


@pytest.mark.slow
def test_kob_andersen_glasses_of_two_sizes_agree() -> None:
    text, page = " ".join(text_of(KOB_ANDERSEN).split()), text_of(KOB_ANDERSEN)
    tree = xbp.tutorial.open_datatree("kob_andersen_glasses")
    both = [tree[f"{n}/spectra"].to_dataset() for n in (1000, 2000)]
    md = xbp.tutorial.open_datatree("kob_andersen_series")["cooling_rate"].to_dataset()
    md = md.sel(cooling_rate=1e12)
    edges = np.arange(0.3, 2.4, 0.2)
    whole = [one[["g", "g_std"]].bp.rebin(E=edges) for one in both]
    box = md[["g", "g_std"]].bp.rebin(E=edges)
    for E in (0.4, 0.6, 0.8, 1.2, 2.0):
        head = "g/E² (10⁻³ meV⁻³) at 0.4 meV" if E == 0.4 else f"{E}"
        *cells, last = row(page, head)
        for cell, one in zip(cells, whole, strict=True):
            at = one.sel(E=E, method="nearest")
            agree(cell, 1e3 * float(at.g) / E**2, 1e3 * float(at.g_std) / E**2)
        at = box.sel(E=E, method="nearest")
        std = max(float(at.g_std), float(at.g) / np.sqrt(48_000 * float(at.g) * 0.2))
        agree(last, 1e3 * float(at.g) / E**2, 1e3 * std / E**2)
        for one in whole:
            other = one.sel(E=E, method="nearest")
            error = float(np.hypot(other.g_std, std))
            assert abs(float(other.g - at.g)) < 2 * error
    z = (whole[0].g - whole[1].g) / np.hypot(whole[0].g_std, whole[1].g_std)
    assert z.size == 10
    assert f"differs by {float(np.sqrt((z**2).mean())):.1f} standard" in text
    fine = [one.sel(E=0.35, method="nearest") for one in both]
    at = [
        f"{1e3 * float(g.g) / 0.35**2:.1f} ± {1e3 * float(g.g_std) / 0.35**2:.1f}"
        for g in fine
    ]
    assert f"at 0.35 meV, {at[0]} and {at[1]} (10⁻³ meV⁻³)" in text
    energies = (0.45, 1.05, 2.05, 3.05, 4.05, 6)
    said = row(page, "r of B with S(Q) at 0.45, 1.05, 2.05, 3.05, 4.05, 6 meV")
    for cell, one in zip(said, (*both, md), strict=True):
        r = one.bp.to_bqe().bp.correlation_map(one.Sq, (1.5, 7)).pearson_r
        agree(cell, *(float(r.interp(E=E)) for E in energies))
    for i, one in enumerate(both):
        agree(
            row(page, "v_L, v_T (m/s), by elastic constants")[i], *one.velocity.values
        )
        debye = debye_level(float(one.debye_energy), 3)
        agree(row(page, "Debye level (10⁻³ meV⁻³)")[i], 1e3 * debye)
        g = one[["g", "g_std"]].bp.to_bqe()
        peak = g.bp.boson_peak(E_range=(0.3, 2), debye_level=f"{debye} 1/meV**3")
        agree(
            row(page, "highest g/E² over this level")[i],
            float(peak.excess),
            float(peak.excess_std),
        )
        found = row(page, "maximum of g/E², fit over 0.3–2 meV")[i]
        assert found == f'none ("{peak.status.values}")'
        B = one.bp.to_bqe().sel(Q=slice(1.5, 7))
        assert B.Q.size == 110
        assert not (B.bp.boson_peak(E_range=(0.2, 2)).status == "ok").any()
