"""Answers of the segments of a trajectory: their mean, and its error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xbp.core.status import Diagnostic

__all__ = ["FEWEST", "Column", "Moments", "std_of_mean"]

#: Fewest answers whose scatter has a finite standard deviation (Student's t).
FEWEST = 4


class Column(NamedTuple):
    """One variable of a result.

    Dimensions, values, standard deviation, units, quantity, further attributes.
    """

    dims: tuple[str, ...]
    values: np.ndarray
    std: np.ndarray | None
    units: str
    quantity: str | None
    attrs: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Moments:
    """Number, mean and squared deviations of answers in order, which merge exactly.

    Attributes
    ----------
    n : int
    mean, squares : dict of numpy.ndarray
        Mean, and sum of squared deviations from it.
    steps, first, last : dict of numpy.ndarray
        Sum of squared differences of successive answers; the first and last of them.
    correlation : float
        Of neighbouring answers, as far as it follows from the frames they share.
    temperature : (float, float or None), optional
        Of the velocities in the frames that were read, and its standard deviation, K.

    References
    ----------
    Chan, Golub & LeVeque, Am. Stat. 37, 242 (1983), doi:10.1080/00031305.1983.10483115.
    """

    n: int
    mean: dict[str, np.ndarray]
    squares: dict[str, np.ndarray]
    steps: dict[str, np.ndarray]
    first: dict[str, np.ndarray]
    last: dict[str, np.ndarray]
    correlation: float = 0.0
    temperature: tuple[float, float | None] | None = None

    @classmethod
    def of(cls, answers: Mapping[str, np.ndarray]) -> Moments:
        """Take answers stacked along their first axis."""
        n = len(next(iter(answers.values())))
        mean = {key: a.mean(axis=0) for key, a in answers.items()}
        squares = {
            key: ((a - mean[key]) ** 2).sum(axis=0) for key, a in answers.items()
        }
        steps = {
            key: (np.diff(a, axis=0) ** 2).sum(axis=0) for key, a in answers.items()
        }
        first = {key: a[0] for key, a in answers.items()}
        last = {key: a[-1] for key, a in answers.items()}
        return cls(n, mean, squares, steps, first, last)

    def merged(self, other: Moments) -> Moments:
        """Return the moments of both; the answers of `other` follow."""
        n = self.n + other.n
        mean, squares, steps = {}, {}, {}
        for key in self.mean:
            shift = other.mean[key] - self.mean[key]
            mean[key] = self.mean[key] + shift * (other.n / n)
            both = self.squares[key] + other.squares[key]
            squares[key] = both + shift**2 * (self.n * other.n / n)
            between = (other.first[key] - self.last[key]) ** 2
            steps[key] = self.steps[key] + other.steps[key] + between
        return Moments(n, mean, squares, steps, self.first, other.last)

    def std(self, key: str, correlation: float | None = None) -> np.ndarray | None:
        """Return the standard deviation of the mean; None for fewer than four answers.

        Of independent answers it is s √((n−1)/(n−3)/n): the standard deviation of
        Student's t with n − 1 degrees of freedom (JCGM 101:2008, 6.4.9), which is
        infinite for n ≤ 3. Neighbours that share frames correlate by r, and n var(mean)
        = s² (1 + 2r(n−1)/n)/(1 − 2r/n). If they correlate further, because something
        relaxes more slowly than a segment, the correlation ρ is taken from successive
        differences, 1 − ρ = Σ(x_{i+1} − x_i)²/2Σ(x_i − x̄)² (J. von Neumann, Ann. Math.
        Stat. 12, 367 (1941), doi:10.1214/aoms/1177731677), and n answers count as
        n (1−ρ)/(1+ρ), as in an exponential relaxation.
        """
        if self.n < FEWEST:
            return None
        r = self.correlation if correlation is None else correlation
        return std_of_mean(self.squares[key], self.steps[key], self.n, r)

    @np.errstate(all="ignore")  # answers that are all equal
    def doubts(self) -> list[Diagnostic]:
        """Return a diagnostic if errors are unknown, or too small.

        Too small where ρ (see `std`) of half the numbers of an answer is above 1/2, by
        two of its standard deviations above that of independent ones.
        """
        rho = [
            float(np.nanmedian(1 - self.steps[key] / (2 * squares)))
            for key, squares in self.squares.items()
            if key != "drift" and (squares > 0).any()
        ]
        if self.n >= FEWEST:
            highest = max(rho, default=0.0)
            if highest < max(0.5, self.correlation + 2 / self.n**0.5):
                return []
            return [
                Diagnostic(
                    "slow_relaxation",
                    "warning",
                    f"successive segments are correlated ({highest:.2g}): relaxation "
                    "is slower than a segment, and errors may be too small by half",
                    "use a longer window, or a longer trajectory",
                )
            ]
        text = f"{self.n} segments give no errors; {FEWEST} are needed"
        return [
            Diagnostic(
                "few_segments", "info", text, "use more frames, or a shorter window="
            )
        ]

    def column(
        self,
        key: str,
        dims: tuple[str, ...],
        units: str,
        quantity: str | None = None,
        *,
        row: int | None = None,
        scale: Any = 1.0,
        attrs: Mapping[str, Any] = {},
    ) -> Column:
        """Return an answer times `scale` as a variable, or one `row` of it."""
        value, std = self.mean[key] * scale, self.std(key)
        std = None if std is None else std * scale
        if row is not None:
            value, std = value[row], None if std is None else std[row]
        return Column(dims, value, std, units, quantity, attrs)


def std_of_mean(squares: Any, steps: Any, n: int, shared: float) -> np.ndarray:
    """Return the error of a mean; see `Moments.std`."""
    with np.errstate(invalid="ignore"):  # answers that are all equal
        rho = np.nan_to_num(1 - steps / (2 * squares) - shared)
    # Of fewer than eight answers ρ is mostly noise, which would widen every error.
    rho = rho.clip(0, 0.95) * min(1, n / 8)
    rise = (1 + rho) / (1 - rho)
    count = np.clip(n / rise, min(n, 5), n)
    variance = squares / (n - 1) / n * rise * (count - 1) / (count - 3)
    known = (1 + 2 * shared * (n - 1) / n) / (1 - 2 * shared / n)
    return np.asarray(np.sqrt(variance * known))
