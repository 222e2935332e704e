"""Analytic models of the boson peak: pure functions, and the generator of data with known answers."""

from xbp.models.synthetic import (
    dynamic_structure_factor,
    elastic_line,
    hard_sphere_structure_factor,
    reduced_dos,
    with_counting_noise,
)

__all__ = [
    "dynamic_structure_factor",
    "elastic_line",
    "hard_sphere_structure_factor",
    "reduced_dos",
    "with_counting_noise",
]
