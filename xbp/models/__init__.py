"""Analytic models of the boson peak.

Pure functions, and the generator of data with known answers.
"""

from xbp.models.catalogue import MODELS, evaluate, lmfit_model
from xbp.models.model import Model
from xbp.models.synthetic import (
    dynamic_structure_factor,
    elastic_line,
    hard_sphere_structure_factor,
    reduced_dos,
    with_counting_noise,
)

__all__ = [
    "MODELS",
    "Model",
    "dynamic_structure_factor",
    "elastic_line",
    "evaluate",
    "hard_sphere_structure_factor",
    "lmfit_model",
    "reduced_dos",
    "with_counting_noise",
]
