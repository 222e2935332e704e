"""Types of the accessors; made by .ci/make_stub.py, not by hand."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Literal, Union, overload

import numpy
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from xbp.core.data import Data
from xbp.core.status import Diagnostic
from xbp.md.long_runs import Cost
from xbp.models.model import Model
from xbp.plot.explorer import Explorer

class PlotAccessor:
    def __init__(self, data: xr.DataArray | xr.Dataset) -> None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Draw the figure that suits these data."""
    def correlation(self, ax: Axes | None = ..., **kwargs: Any) -> Axes:
        """Draw the correlation of B(Q,E), or of another spectrum, with S(Q) against energy.

        See `xbp.plot.correlation`.
        """
    def cut(self, ax: Axes | None = ..., **kwargs: Any) -> Axes:
        """Draw a signal over one dimension, with its errors where they are known.

        See `xbp.plot.cut`.
        """
    def debye_waller(self, ax: Axes | None = ..., **kwargs: Any) -> Axes:
        """Draw the logarithm of the elastic line against Q², a line of slope −u².

        See `xbp.plot.debye_waller`.
        """
    def detailed_balance(self, ax: Axes | None = ..., **kwargs: Any) -> Axes:
        """Draw the temperature that each energy implies, and that of all of them as a band.

        See `xbp.plot.detailed_balance`.
        """
    def explore(self, sq: xr.DataArray | xr.Dataset | None = ..., *, E_width: Any = ..., Q_width: Any = ..., E_range: Any = ..., Q_range: Any = ...) -> Explorer:
        """Show a map of Q and E with a point to drag, and both cuts through it.

        See `xbp.plot.explore`.
        """
    def field_correlations(self, ax: Axes | None = ..., **kwargs: Any) -> Axes:
        """Draw the correlation of every field with S(Q) against energy.

        See `xbp.plot.field_correlations`.
        """
    def fit(self, table: xr.DataArray | xr.Dataset | None = ..., ax: Axes | None = ..., *, model: Any = ..., parameter: str | None = ..., **kwargs: Any) -> Axes:
        """Draw a spectrum with the curve fitted to it, and the range fitted in grey.

        See `xbp.plot.fit`.
        """
    def fluctuations(self, E_range: Any = ..., *, figure: Figure | None = ..., **kwargs: Any) -> Figure:
        """Draw the maps that `compare_fluctuations` compared, as the paper's Fig. 4.

        See `xbp.plot.fluctuations`.
        """
    def heat_capacity(self, fit: xr.Dataset | None = ..., ax: Axes | None = ..., **kwargs: Any) -> Axes:
        """Draw (C − γT)/T³ against temperature, with its fit and the Debye part.

        See `xbp.plot.heat_capacity`.
        """
    def histogram(self, field: str | None = ..., ax: Axes | None = ..., *, bins: int = ..., **kwargs: Any) -> Axes:
        """Draw how often each value of a local field occurs, for each element.

        See `xbp.plot.histogram`.
        """
    def map(self, sq: xr.DataArray | xr.Dataset | None = ..., ax: Axes | None = ..., *, E_range: Any = ..., peak: xr.Dataset | None = ..., add_colorbar: bool = ..., **kwargs: Any) -> Axes:
        """Draw B(Q,E), or any signal over E and one other dimension, in colours.

        See `xbp.plot.map`.
        """
    def models(self, ax: Axes | None = ..., *, residuals: bool = ..., **kwargs: Any) -> Axes:
        """Draw the models that were compared, in the data or as what they leave of them.

        See `xbp.plot.models`.
        """
    def peak(self, peak: xr.Dataset | None = ..., ax: Axes | None = ..., *, E_range: Any = ..., **kwargs: Any) -> Axes:
        """Draw a spectrum with the peak fitted to it, from 0 to twice the energies fitted.

        See `xbp.plot.peak`.
        """
    def phonons(self, ax: Axes | None = ..., **kwargs: Any) -> Axes:
        """Draw the energies of phonon branches over Q, with their errors.

        See `xbp.plot.phonons`.
        """
    def scaling(self, ax: Axes | None = ..., **kwargs: Any) -> Axes:
        """Draw a cut at constant energy beside S(Q) scaled to it.

        See `xbp.plot.scaling`.
        """
    def separability(self, E_range: Any = ..., *, figure: Figure | None = ..., **kwargs: Any) -> Figure:
        """Draw where B(Q,E) is a function of energy times S(Q): the paper's Eq. 2.

        See `xbp.plot.separability`.
        """

class BosonPeakAccessor(Generic[Data]):
    def __init__(self, data: Data) -> None: ...
    @property
    def plot(self) -> PlotAccessor: ...
    def angle_to_Q(self, Q: Any, *, incident_energy: Any = ..., final_energy: Any = ..., angle_width: Any = ..., ki_over_kf: Literal['applied', 'not applied'] | None = ..., variance: Literal['exact', 'shared'] = ..., reversed_below: float | None = ..., unreachable: float = ..., significance: float = ...) -> Data:
        """Bring spectra of detectors onto bins of Q, weighted by exact overlap.

        See `xbp.angle_to_Q`.
        """
    def at_temperature(self, T: Any, u2: Any = ...) -> Data:
        """Return the S(Q,E) that the same harmonic vibrations give at another temperature.

        See `xbp.at_temperature`.
        """
    def bloch_branches(self, dE: Any = ..., *, source: Literal['modes', 'currents'] = ...) -> xr.Dataset:
        """Split g(E) of a glass into that of longitudinal and of transverse waves.

        See `xbp.md.lattice.bloch_branches`.
        """
    def bloch_currents(self, T: Any, *, statistics: Literal['quantum', 'classical'] = ...) -> xr.Dataset:
        """Compute longitudinal and transverse current spectra of a glass from its modes.

        See `xbp.md.lattice.bloch_currents`.
        """
    def bloch_fluctuations(self, field: str, *, T: Any = ...) -> xr.Dataset:
        """Compute the spectrum of the strain fluctuations of a glass from its modes.

        See `xbp.md.lattice.bloch_fluctuations`.
        """
    def bloch_modes(self, out: str | os.PathLike[str] | None = ..., n_wavevectors: int = ..., *, Q_max: Any = ..., dQ: Any = ..., E_max: Any = ..., dE: Any = ..., max_wavevectors_per_shell: int | None = ..., strain: bool = ..., cutoff: Any = ..., k: Any = ..., inner: float = ..., rng: int | numpy.random.Generator | None = ..., most_imaginary: float = ..., precision: Literal['single', 'double'] = ..., processes: int = ..., progress: bool = ..., overwrite: bool = ...) -> xr.Dataset:
        """Find the modes of a glass at wave vectors of any length.

        See `xbp.md.lattice.bloch_modes`.
        """
    def bloch_structure_factor(self, T: Any, *, weights: Any = ..., b: Any = ..., statistics: Literal['quantum', 'classical'] = ..., debye_waller: bool = ..., partials: bool = ..., normalization: Literal['ashcroft-langreth', 'number'] = ...) -> xr.Dataset:
        """Compute the one-phonon S(Q,E) of a glass from its modes.

        See `xbp.md.lattice.bloch_structure_factor`.
        """
    def bloch_vdos(self, dE: Any = ..., *, partials: bool = ..., localized_below: float = ...) -> xr.Dataset:
        """Compute g(E) of a glass from its modes at many wave vectors.

        See `xbp.md.lattice.bloch_vdos`.
        """
    def boson_peak(self, method: Literal['lognormal', 'quadratic', 'gaussian'] = ..., E_range: Any = ..., *, sq: xr.DataArray | xr.Dataset | None = ..., edge_width: float = ..., filter_end: Any = ..., sound_below: Any = ..., box_phonon: Any = ..., debye_level: Any = ..., search_below: Any = ..., above_box: float = ..., box_margin: float = ..., significance: float = ...) -> xr.Dataset:
        """Find position, height and width of the boson peak.

        See `xbp.boson_peak`.
        """
    def box_phonon(self, window: Any = ..., *, progress: bool = ...) -> xr.Dataset:
        """Find the first transverse phonon that a simulated box allows.

        See `xbp.box_phonon`.
        """
    def compare_fluctuations(self, Q_max: Any, dQ: Any = ..., *, fields: str | xr.DataArray | Sequence[str | xr.DataArray] = ..., cutoff: Any = ..., reference: Any = ..., weights: Any = ..., energy: Any = ..., E_range: Any = ..., Q_range: Any = ..., box_phonon: Any = ..., E_max: Any = ..., window: Any = ..., T: Any = ..., max_wavevectors_per_shell: int | None = ..., progress: bool = ...) -> xr.Dataset:
        """Compare the spectra of local fields with S(Q) and with the boson peak.

        See `xbp.compare_fluctuations`.
        """
    def compare_models(self, models: Sequence[str | Model], *, x_range: Any = ..., fixed: Mapping[str, Any] | None = ..., start: Mapping[str, Any] | None = ..., bounds: Mapping[str, Any] | None = ..., number_density: Any = ..., mass: Any = ..., T: Any = ..., alike_below: float = ...) -> xr.Dataset:
        """Fit several models to the same points and compare them.

        See `xbp.compare_models`.
        """
    def convert(self, E: str | None = ..., Q: str | None = ..., temperature: str | None = ..., *, frequency: Literal['ordinary', 'angular'] | None = ...) -> Data:
        """Change the units of coordinates, and of everything that is a density in them.

        See `xbp.convert`.
        """
    def convolve(self, resolution: Any, *, width: Literal['fwhm', 'sigma'] = ..., tail: float = ...) -> Data:
        """Broaden a model or a simulation by the resolution of an instrument.

        See `xbp.convolve`.
        """
    def correct_multiphonon(self, T: Any = ..., E_range: Any = ..., Q_range: Any = ..., *, mass: Any = ..., composition: str | Mapping[str, float] | None = ..., u2: Any = ..., multiple_scattering: float | Literal['fit'] = ..., below: Literal['debye', 'nothing'] = ..., tolerance: float = ..., initial_dos: xr.DataArray | xr.Dataset | None = ..., join_range: Any = ..., end: float = ..., background: float = ..., uncertain: float = ..., reversed_below: float | None = ...) -> Data:
        """Take multiphonon and multiple scattering off S(Q,E), leaving one phonon.

        See `xbp.correct_multiphonon`.
        """
    def correct_neutron_weighting(self, partials: xr.Dataset | xr.DataArray, *, Q: Any = ..., u2: Any = ..., b: Any = ...) -> Data:
        """Correct a measured density of states for its neutron weighting, by a simulation.

        See `xbp.md.correct_neutron_weighting`.
        """
    def correlation_map(self, sq: xr.DataArray | xr.Dataset, Q_range: Any = ..., *, box: Any = ..., elastic_widths: float = ...) -> xr.Dataset:
        """Correlate B(Q,E) with S(Q) at every energy: the paper's Fig. 3 as one curve.

        See `xbp.correlation_map`.
        """
    def current_spectra(self, Q_max: Any, dQ: Any = ..., *, E_max: Any = ..., dE: Any = ..., window: Any = ..., resolution: Any = ..., weights: Any = ..., b: Any = ..., taper: Literal['hann', 'boxcar'] = ..., T: Any = ..., max_wavevectors_per_shell: int | None = ..., precision: Literal['single', 'double'] = ..., folding: float | None = ..., most_phase: float | None = ..., progress: bool = ...) -> xr.Dataset:
        """Compute longitudinal and transverse current spectra of a trajectory.

        See `xbp.md.current_spectra`.
        """
    def cut_E(self, E: Any, width: Any = ...) -> Data:
        """Cut at constant energy: the mean over an interval of E.

        See `xbp.cut_E`.
        """
    def cut_Q(self, Q: Any, width: Any = ...) -> Data:
        """Cut at constant momentum transfer: the mean over an interval of Q.

        See `xbp.cut_Q`.
        """
    def debye_temperature(self, T: Any = ..., *, mass: Any = ..., amount: Literal['atoms', 'formula units'] | None = ...) -> xr.Dataset:
        """Find the Debye temperature that each measured C(T), or u², would have.

        See `xbp.debye_temperature`.
        """
    def debye_waller(self, E_range: Any = ..., Q_range: Any = ..., *, reference: xr.DataArray | xr.Dataset | None = ..., most_broadening: float = ..., least_explained: float = ..., most_chi2: float = ...) -> xr.Dataset:
        """Measure u² from the elastic line.

        See `xbp.debye_waller`.
        """
    def detailed_balance(self, E_range: Any = ..., Q_range: Any = ...) -> xr.Dataset:
        """Compare energy gain with energy loss, and find the temperature of their ratio.

        See `xbp.detailed_balance`.
        """
    def diagnostics(self) -> list[Diagnostic]:
        """List the diagnostics of data: what is doubtful, and what to do about it.

        See `xbp.diagnostics`.
        """
    def dispersion(self, Q_range: Any = ..., *, significance: float = ...) -> xr.Dataset:
        """Test whether the peak energy depends on Q.

        See `xbp.dispersion`.
        """
    def dynamic_structure_factor(self, Q_max: Any, dQ: Any = ..., *, E_max: Any = ..., dE: Any = ..., window: Any = ..., resolution: Any = ..., weights: Any = ..., b: Any = ..., part: Literal['coherent', 'incoherent', 'total'] = ..., partials: bool = ..., normalization: Literal['ashcroft-langreth', 'number'] = ..., taper: Literal['hann', 'boxcar'] = ..., T: Any = ..., max_wavevectors_per_shell: int | None = ..., origin_step: int | None = ..., precision: Literal['single', 'double'] = ..., folding: float | None = ..., progress: bool = ...) -> xr.Dataset:
        """Compute S(Q,E) of a trajectory over all wave vectors that its cell allows.

        See `xbp.md.dynamic_structure_factor`.
        """
    def elastic_constants(self, *, tolerance: float = ...) -> xr.Dataset:
        """Compute the elastic constants of a glass from its force constants.

        See `xbp.md.lattice.elastic_constants`.
        """
    def estimate(self, analysis: str, **arguments: Any) -> Cost:
        """Estimate what an analysis of a trajectory will cost, from a few of its tasks.

        See `xbp.md.estimate`.
        """
    def excess_dos(self, debye_energy: Any, debye_energy_std: Any = ..., *, n_atoms: float | None = ...) -> Data:
        """Return g(E) less that of Debye's phonons.

        See `xbp.excess_dos`.
        """
    def fit(self, model: Any, dim: str | None = ..., *, x_range: Any = ..., start: Mapping[str, Any] | None = ..., fixed: Mapping[str, Any] | None = ..., bounds: Mapping[str, Any] | None = ...) -> xr.Dataset:
        """Fit a model along one dimension, once for every combination of the others.

        See `xbp.fit`.
        """
    def fit_bqe(self, sq: xr.DataArray | xr.Dataset, shape: Literal['free', 'lognormal', 'quadratic', 'gaussian'] = ..., *, Q_range: Any = ..., E_range: Any = ..., significance: float = ..., elastic_widths: float = ...) -> xr.Dataset:
        """Fit a function of energy times S(Q) to all of B(Q,E): the paper's Eq. 2.

        See `xbp.fit_bqe`.
        """
    def fit_elastic_line(self, E_range: Any = ..., Q_range: Any = ...) -> xr.Dataset:
        """Fit a Gaussian on a constant to the elastic line.

        See `xbp.fit_elastic_line`.
        """
    def fit_heat_capacity(self, T_range: Any = ..., *, start: Mapping[str, Any] | None = ..., fixed: Mapping[str, Any] | None = ..., bounds: Mapping[str, Any] | None = ...) -> xr.Dataset:
        """Fit γT, Debye phonons and a Gaussian of Einstein modes to a heat capacity.

        See `xbp.fit_heat_capacity`.
        """
    def fit_together(self, *others: xr.DataArray | xr.Dataset, model: str | Model, scales: Sequence[float | None] | None = ..., E_range: Any = ..., T_range: Any = ..., start: Mapping[str, Any] | None = ..., fixed: Mapping[str, Any] | None = ..., bounds: Mapping[str, Any] | None = ..., number_density: Any = ..., mass: Any = ..., T: Any = ...) -> xr.Dataset:
        """Fit one model of g(E) to several measurements of one glass at once.

        See `xbp.fit_together`.
        """
    def fitted_dos(self, E: Any) -> xr.Dataset:
        """Return the density of states implied by a fit of the heat capacity.

        See `xbp.fitted_dos`.
        """
    def fluctuation_spectrum(self, field: str | xr.DataArray | Sequence[str | xr.DataArray], Q_max: Any, dQ: Any = ..., *, cutoff: Any = ..., reference: Any = ..., subtract_mean: bool = ..., E_max: Any = ..., dE: Any = ..., window: Any = ..., resolution: Any = ..., taper: Literal['hann', 'boxcar'] = ..., T: Any = ..., max_wavevectors_per_shell: int | None = ..., precision: Literal['single', 'double'] = ..., folding: float | None = ..., progress: bool = ...) -> xr.Dataset | xr.DataTree:
        """Compute how the fluctuations of a local field are correlated in space and time.

        See `xbp.md.fluctuation_spectrum`.
        """
    def fold(self, T: Any = ..., *, weights: Literal['variance', 'counts'] = ..., reversed_below: float | None = ...) -> Data:
        """Fold energy gain onto energy loss: the mean of S(Q,E) and exp(E/k_BT) S(Q,−E).

        See `xbp.fold`.
        """
    def harmonic_thermodynamics(self, temperature: Any, *, mass: Any = ..., composition: Any = ..., area: float | None = ..., n_atoms: float | None = ..., below: Literal['debye'] | None = ..., area_tolerance: float = ...) -> xr.Dataset:
        """Compute what harmonic vibrations of a density of states do at a temperature.

        See `xbp.harmonic_thermodynamics`.
        """
    def heat_capacity(self, temperature: Any, *, area: float | None = ..., n_atoms: float | None = ..., below: Literal['debye'] | None = ..., area_tolerance: float = ..., end: float = ...) -> Data:
        """Return the harmonic heat capacity of a density of states.

        See `xbp.heat_capacity`.
        """
    def integrate_E(self, E_range: Any = ..., T: Any = ...) -> Data:
        """Integrate S(Q,E) over energy: the static structure factor S(Q).

        See `xbp.integrate_E`.
        """
    def intermediate_scattering_function(self, Q_max: Any, dQ: Any = ..., *, time_max: Any = ..., window: Any = ..., resolution: Any = ..., weights: Any = ..., b: Any = ..., part: Literal['coherent', 'incoherent', 'total'] = ..., partials: bool = ..., normalization: Literal['ashcroft-langreth', 'number'] = ..., T: Any = ..., max_wavevectors_per_shell: int | None = ..., origin_step: int | None = ..., precision: Literal['single', 'double'] = ..., progress: bool = ...) -> xr.Dataset:
        """Compute F(Q,t) of a trajectory.

        See `xbp.md.intermediate_scattering_function`.
        """
    def ioffe_regel(self) -> xr.Dataset:
        """Find the energies above which phonons live for less than half of a period.

        See `xbp.ioffe_regel`.
        """
    def kernel_polynomial_vdos(self, out: str | os.PathLike[str] | None = ..., n_wavevectors: int = ..., *, dE: Any = ..., resolution: Any = ..., n_vectors: int = ..., inner: float = ..., rng: int | numpy.random.Generator | None = ..., processes: int = ..., progress: bool = ..., overwrite: bool = ...) -> xr.Dataset:
        """Compute g(E) of a large glass at many wave vectors, without finding its modes.

        See `xbp.md.lattice.kernel_polynomial_vdos`.
        """
    def kinematic_limits(self, two_theta: Any = ..., *, incident_energy: Any = ..., final_energy: Any = ...) -> xr.Dataset:
        """Find the range of Q that an instrument reaches at each energy transfer.

        See `xbp.kinematic_limits`.
        """
    def label(self, quantity: str | None = ..., *, units: str | None = ..., coordinate_units: Mapping[str, str] | None = ..., rename: Mapping[str, str] | None = ..., variable: str | None = ..., std: str | Any = ..., T: Any = ..., statistics: str | None = ..., dimension: Literal[2, 3] | None = ...) -> xr.Dataset:
        """Label data that have no quantity or units, so that all operations apply.

        See `xbp.label`.
        """
    def like(self, experiment: xr.DataArray | xr.Dataset, resolution: Any, *, width: Literal['fwhm', 'sigma'] = ..., T: Any = ..., harmonic: bool = ..., u2: Any = ..., scale: Literal['fit'] | None = ..., coverage: float = ..., T_tolerance: float = ..., tail: float = ...) -> Data:
        """Bring a simulated S(Q,E) onto the grid and resolution of an experiment.

        See `xbp.like`.
        """
    def local_fields(self, fields: str | Sequence[str], *, cutoff: Any = ..., reference: Any = ...) -> xr.Dataset:
        """Compute local fields of every atom and its neighbors, lazily.

        See `xbp.md.local_fields`.
        """
    def local_moduli(self, size: Any = ..., *, tolerance: float = ...) -> xr.Dataset:
        """Compute the elastic moduli of the cells of a glass, and their variance.

        See `xbp.md.lattice.local_moduli`.
        """
    def mark_box_phonon(self, phonon: Any) -> Data:
        """Mark spectra of a simulation with the first transverse phonon of its box.

        See `xbp.mark_box_phonon`.
        """
    def mask_elastic(self, resolution: Any, widths: float = ..., *, centre: Any = ...) -> Data:
        """Mask the elastic line: bins within some resolution widths of it become NaN.

        See `xbp.mask_elastic`.
        """
    def msd(self, *, time_max: Any = ..., window: Any = ..., partials: bool = ..., T: Any = ..., progress: bool = ...) -> xr.Dataset:
        """Compute the mean-square displacement of the atoms, the whole being at rest.

        See `xbp.md.msd`.
        """
    def multiphonon_sqe(self, Q: Any, E: Any = ..., T: Any = ..., *, mass: Any = ..., composition: str | Mapping[str, float] | None = ..., u2: Any = ..., orders: int | None = ..., tolerance: float = ..., below: Literal['debye', 'nothing'] = ..., part: Literal['all', 'elastic', 'one', 'many'] = ..., area: float | None = ..., n_atoms: float | None = ..., area_tolerance: float = ..., end: float = ...) -> Data:
        """Return S(Q,E) of a density of states: the elastic line, one phonon, and many.

        See `xbp.multiphonon_sqe`.
        """
    def neutron_weighted_dos(self, *, Q: Any = ..., u2: Any = ..., b: Any = ..., area_tolerance: float = ...) -> xr.Dataset:
        """Weight the partial densities of states of an alloy as neutron scattering does.

        See `xbp.md.neutron_weighted_dos`.
        """
    def normalize_to_sum_rule(self, rule: Literal['incoherent', 'structure factor', 'f-sum'], sq: xr.DataArray | xr.Dataset | None = ..., T: Any = ..., *, E_range: Any = ..., Q_range: Any = ..., mass: Any = ..., composition: str | Mapping[str, float] | None = ..., most_missing: float = ..., end: float = ..., most_spread: float = ..., reversed_below: float | None = ...) -> Data:
        """Bring S(Q,E) to the scale that a sum rule gives it; one factor for all Q.

        See `xbp.normalize_to_sum_rule`.
        """
    def normalize_to_vanadium(self, vanadium: xr.DataArray | xr.Dataset, *, amount: Any, vanadium_amount: Any, composition: str | Mapping[str, float] | None = ..., E_range: Any = ..., Q_range: Any = ..., u2: Any = ...) -> Data:
        """Bring S(Q,E) to an absolute scale by the elastic line of vanadium.

        See `xbp.normalize_to_vanadium`.
        """
    def phonon_dispersion(self, E_range: Any = ...) -> xr.Dataset:
        """Find the phonon branches in longitudinal and transverse current spectra.

        See `xbp.phonon_dispersion`.
        """
    def radial_distribution(self, r_max: Any = ..., dr: Any = ..., *, partials: bool = ..., T: Any = ..., progress: bool = ...) -> xr.Dataset:
        """Compute the radial distribution function g(r) of a trajectory.

        See `xbp.md.radial_distribution`.
        """
    def rebin(self, E: Any = ..., Q: Any = ..., *, given: Literal['edges', 'centres'] = ..., least_coverage: float = ...) -> Data:
        """Bring a signal onto coarser or other bins, keeping its integral.

        See `xbp.rebin`.
        """
    def reduced_heat_capacity(self, gamma: Any = ...) -> Data:
        """Return (C − γT)/T³, in a plane over T², whose maximum is the boson peak's.

        See `xbp.reduced_heat_capacity`.
        """
    def relaxation_time(self, level: float = ...) -> xr.Dataset:
        """Find the α relaxation time: when F(Q,t) has fallen to 1/e of F(Q,0).

        See `xbp.relaxation_time`.
        """
    def scale(self, factor: Any, factor_std: Any = ...) -> Data:
        """Multiply a signal by a factor, its standard deviation and units with it.

        See `xbp.scale`.
        """
    def scale_to_sq(self, sq: xr.DataArray | xr.Dataset, Q_range: Any = ..., *, offset: bool = ..., box: Any = ..., elastic_widths: float = ...) -> xr.Dataset:
        """Scale the static structure factor to a cut at constant energy.

        See `xbp.scale_to_sq`.
        """
    def scan_boson_peak(self, E_ranges: Sequence[Any] | None = ..., methods: Sequence[Literal['lognormal', 'quadratic', 'gaussian']] = ..., *, sq: xr.DataArray | xr.Dataset | None = ..., edge_width: float = ..., filter_end: Any = ..., least: float = ...) -> xr.Dataset:
        """Fit the boson peak over several ranges with several shapes.

        See `xbp.scan_boson_peak`.
        """
    def scan_heat_capacity(self, T_ranges: Sequence[Any] | None = ..., *, start: Mapping[str, Any] | None = ..., fixed: Mapping[str, Any] | None = ..., bounds: Mapping[str, Any] | None = ...) -> xr.Dataset:
        """Fit a heat capacity over several ranges of temperature.

        See `xbp.scan_heat_capacity`.
        """
    def shift_E(self, by: Any) -> Data:
        """Move E = 0: subtract one energy from E and the bounds of its bins.

        See `xbp.shift_E`.
        """
    def sound_velocity(self, Q_max: Any = ...) -> xr.Dataset:
        """Find the sound velocities of a solid from the beginning of its phonon branches.

        See `xbp.sound_velocity`.
        """
    def structure_factor(self, Q_max: Any, dQ: Any = ..., *, weights: Any = ..., b: Any = ..., partials: bool = ..., normalization: Literal['ashcroft-langreth', 'faber-ziman', 'number'] = ..., T: Any = ..., max_wavevectors_per_shell: int | None = ..., precision: Literal['single', 'double'] = ..., progress: bool = ...) -> xr.Dataset:
        """Compute S(Q) of a trajectory over all wave vectors that its cell allows.

        See `xbp.md.structure_factor`.
        """
    def subtract(self, background: xr.DataArray | xr.Dataset, scale: Any = ..., *, scale_std: Any = ..., most_negative: float = ...) -> Data:
        """Subtract a background, such as the empty can: data − scale · background.

        See `xbp.subtract`.
        """
    def subtract_Q_independent(self, u2: Any = ..., *, sq: xr.DataArray | xr.Dataset | None = ..., Q_range: Any = ...) -> Data:
        """Find and subtract the part of S(Q,E) that does not depend on Q.

        See `xbp.subtract_Q_independent`.
        """
    def subtract_elastic(self, reference: xr.DataArray | xr.Dataset | None = ..., E_range: Any = ..., *, Q_range: Any = ..., baseline: Any = ...) -> Data:
        """Subtract the elastic line, with a shape that was measured.

        See `xbp.subtract_elastic`.
        """
    def to_ase(self, fields: xr.Dataset | None = ...) -> list[Any]:
        """Make ASE's Atoms of the frames of a trajectory.

        See `xbp.md.to_ase`.
        """
    def to_bqe(self, T: Any = ..., u2: Any = ..., *, u2_total: Any = ..., msd: Any = ..., B_iso: Any = ..., T_std: Any = ..., u2_std: Any = ..., reversed_below: float | None = ...) -> Data:
        """Return the reduced density of states B(Q,E) = G(Q,E)/E², in a plane G/\|E\|.

        See `xbp.to_bqe`.
        """
    def to_columns(self, path: str | os.PathLike[str], *, overwrite: bool = ...) -> None:
        """Write a spectrum as three-column text: coordinate, value, standard deviation.

        See `xbp.to_columns`.
        """
    def to_convention(self, convention: Literal['E*n*S/Q^2', 'n*S/(E*Q^2)', 'n*S/Q^2', 'S*E/Q', 'S*n/(E*Q)', 'n*S/E'], T: Any = ..., u2: Any = ..., *, u2_total: Any = ..., msd: Any = ..., B_iso: Any = ..., T_std: Any = ..., u2_std: Any = ..., reversed_below: float | None = ...) -> Data:
        """Return S(Q,E) reduced as another publication has it.

        See `xbp.to_convention`.
        """
    def to_csv(self, path: str | os.PathLike[str], layout: Literal['long', 'wide'] = ..., *, overwrite: bool = ...) -> None:
        """Write a signal, or a table of results, as comma-separated values.

        See `xbp.to_csv`.
        """
    def to_dataframe(self, layout: Literal['long', 'wide'] = ...) -> Any:
        """Make a pandas DataFrame of a signal or of a table of results.

        See `xbp.to_dataframe`.
        """
    def to_euphonic(self) -> Any:
        """Make a spectrum of Euphonic of g(E), or of S(Q,E) of a powder or glass.

        See `xbp.to_euphonic`.
        """
    def to_gdos(self, T: Any = ..., u2: Any = ..., *, u2_total: Any = ..., msd: Any = ..., B_iso: Any = ..., T_std: Any = ..., u2_std: Any = ..., reversed_below: float | None = ...) -> Data:
        """Return the generalized density of states G(Q,E).

        See `xbp.to_gdos`.
        """
    def to_mantid(self) -> Any:
        """Make a workspace of Mantid of S(2θ,E) or S(Q,E), with errors.

        See `xbp.to_mantid`.
        """
    def to_mdanalysis(self) -> Any:
        """Make a Universe of MDAnalysis, in memory, of a trajectory.

        See `xbp.md.to_mdanalysis`.
        """
    def to_molar(self, per: Literal['atoms', 'formula units'], *, mass: Any = ..., molar_mass: Any = ..., atoms: Any = ..., amount: Literal['atoms', 'formula units'] | None = ..., composition: str | Mapping[str, float] | None = ...) -> Data:
        """Return the heat capacity per mole.

        See `xbp.to_molar`.
        """
    def to_netcdf(self, path: str | os.PathLike[str], *, overwrite: bool = ..., nexus: bool = ...) -> None:
        """Archive data to netCDF-4, following CF-1.11.

        See `xbp.to_netcdf`.
        """
    def to_nxspe(self, path: str | os.PathLike[str], *, overwrite: bool = ...) -> None:
        """Write S(2θ,E) as NXSPE 1.3, for Mantid, Horace, MSlice and PACE.

        See `xbp.to_nxspe`.
        """
    def to_quantum(self, T: Any = ...) -> Data:
        """Give a classical S(Q,E) both sides of E and detailed balance.

        See `xbp.to_quantum`.
        """
    def to_radial_distribution(self, r: Any, *, number_density: Any = ..., window: Literal['lorch', 'none'] = ...) -> Any:
        """Transform S(Q) to g(r).

        See `xbp.md.to_radial_distribution`.
        """
    def to_raman_shift(self, laser: Any) -> Data:
        """Turn the wavelength axis of a Raman spectrum into the shift from the laser line.

        See `xbp.to_raman_shift`.
        """
    def to_reduced_absorption(self, coupling: Any = ..., *, thickness: Any = ..., thickness_std: Any = ...) -> Data:
        """Return g(E)/E² from an absorption coefficient, in arbitrary units.

        See `xbp.to_reduced_absorption`.
        """
    def to_reduced_raman(self, T: Any = ..., coupling: Union[Literal['constant', 'linear'], Callable[[numpy.ndarray], numpy.ndarray]] = ..., *, side: Literal['stokes', 'anti-stokes'] = ..., laser_line: Any = ..., baseline: Any = ..., reversed_below: float | None = ..., highest_shift: Any = ...) -> Data:
        """Return g(E)/E² from a Raman spectrum, in arbitrary units.

        See `xbp.to_reduced_raman`.
        """
    def to_scipp(self) -> Any:
        """Make a scipp.DataArray of a signal.

        See `xbp.to_scipp`.
        """
    def to_spe(self, path: str | os.PathLike[str], detectors: str | os.PathLike[str], *, width: int = ..., overwrite: bool = ...) -> None:
        """Write S(2θ,E) as SPE text, for Horace, mslice and Mantid, and its angles as PHX.

        See `xbp.to_spe`.
        """
    def to_sqe(self, T: Any = ..., u2: Any = ..., *, u2_total: Any = ..., msd: Any = ..., B_iso: Any = ..., T_std: Any = ..., u2_std: Any = ...) -> Data:
        """Return S(Q,E) from G(Q,E) or B(Q,E): the inverse of `to_gdos` and `to_bqe`.

        See `xbp.to_sqe`.
        """
    def to_sqw(self, path: str | os.PathLike[str], *, overwrite: bool = ...) -> None:
        """Write S(Q,E) as McStas ``Isotropic_Sqw`` and iFit read it.

        See `xbp.to_sqw`.
        """
    def to_structure_factor(self, Q: Any, *, number_density: Any = ..., window: Literal['lorch', 'none'] = ...) -> Any:
        """Transform g(r) to S(Q).

        See `xbp.md.to_structure_factor`.
        """
    def to_vibrational_dos(self, T: Any = ..., E_range: Any = ..., Q_range: Any = ..., *, mass: Any = ..., composition: str | Mapping[str, float] | None = ..., u2: Any = ..., multiple_scattering: float | Literal['fit'] = ..., below: Literal['debye', 'nothing'] = ..., tolerance: float = ..., initial_dos: xr.DataArray | xr.Dataset | None = ..., join_range: Any = ..., end: float = ..., background: float = ..., uncertain: float = ..., reversed_below: float | None = ..., unreachable: float = ..., significance: float = ..., incident_energy: Any = ..., final_energy: Any = ..., ki_over_kf: Literal['applied', 'not applied'] | None = ...) -> Data:
        """Return g(E) from S(Q,E), multiphonon scattering taken off self-consistently.

        See `xbp.to_vibrational_dos`.
        """
    def to_zarr(self, path: str | os.PathLike[str], *, overwrite: bool = ...) -> None:
        """Archive data to a Zarr store, a folder, with all that `to_netcdf` keeps.

        See `xbp.to_zarr`.
        """
    def vdos(self, *, E_max: Any = ..., dE: Any = ..., window: Any = ..., resolution: Any = ..., weights: Any = ..., b: Any = ..., partials: bool = ..., directions: bool = ..., taper: Literal['hann', 'boxcar'] = ..., T: Any = ..., folding: float | None = ..., progress: bool = ...) -> xr.Dataset:
        """Compute the vibrational density of states g(E) of a trajectory.

        See `xbp.md.vdos`.
        """
    def vibration_map(self, T: Any, *, E_range: Any = ..., n_wavevectors: int = ..., statistics: Literal['quantum', 'classical'] = ..., cutoff: Any = ..., rng: int | numpy.random.Generator | None = ...) -> xr.Dataset:
        """Map u² and the strains of the vibrations of a glass, and compare the maps.

        See `xbp.md.lattice.vibration_map`.
        """

class StudyAccessor:
    def __init__(self, tree: xr.DataTree) -> None: ...
    def compare(self, among: Sequence[str] | None = ..., *, heat_capacity: Literal['peak', 'einstein'] = ...) -> xr.Dataset:
        """Compare the boson-peak energies of a study.

        See `xbp.study.compare`.
        """
    def plot(self, among: Sequence[str] | None = ..., *, heat_capacity: Literal['peak', 'einstein'] = ..., columns: int | None = ..., figure: Figure | None = ...) -> Figure:
        """Draw a study: a panel for each curve, the energies, and all curves over E/E_BP.

        See `xbp.study.plot`.
        """
    def report(self, path: str | os.PathLike[str], *, among: Sequence[str] | None = ..., heat_capacity: Literal['peak', 'einstein'] = ..., overwrite: bool = ...) -> None:
        """Write a study as one HTML page: comparison, figure, provenance of every leaf.

        See `xbp.study.report`.
        """
    def to_netcdf(self, path: str | os.PathLike[str], *, overwrite: bool = ...) -> None:
        """Archive a study to netCDF-4, a group for each leaf.

        See `xbp.study.to_netcdf`.
        """

@overload
def bp(data: xr.DataTree) -> StudyAccessor: ...
@overload
def bp(data: Data) -> BosonPeakAccessor[Data]: ...
