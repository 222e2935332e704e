"""What may be said of one fit among many, instead of a number that only looks fine."""

from typing import Final

OK: Final = "ok"
NO_DATA: Final = "no data"
TOO_FEW: Final = "too few points"
NO_MAXIMUM: Final = "no maximum"
AT_EDGE: Final = "maximum at edge"
FAILED: Final = "fit failed"
BOX_PHONON: Final = "box phonon"
AT_BOUND: Final = "parameter at bound"
#: Of a maximum whose low side is the edge of a filter; of one at small Q, where sound
#: waves are seen.
STEEP_EDGE: Final = "steep edge"
LONGITUDINAL: Final = "longitudinal phonon"

#: Of a fitted heat capacity: Debye phonons alone describe it; more modes than atoms
#: have, or a negative γ; an error as large as the number.
NO_EXCESS: Final = "no excess"
UNPHYSICAL: Final = "unphysical"
UNDETERMINED: Final = "undetermined"

#: Above this reduced chi-squared, or this rms residual where no errors are known, the
#: shape is not that of the data.
POOR_CHI2: Final = 10.0
POOR_RESIDUAL: Final = 0.05

#: Fits run on arrays of numbers; there a status is its place in this tuple.
STATUSES: Final = (
    OK,
    NO_DATA,
    TOO_FEW,
    NO_MAXIMUM,
    AT_EDGE,
    FAILED,
    BOX_PHONON,
    AT_BOUND,
    UNDETERMINED,
    UNPHYSICAL,
    NO_EXCESS,
    STEEP_EDGE,
    LONGITUDINAL,
)
NO_CROSSING: Final = "no crossing"
NO_TEMPERATURE: Final = "no temperature"
NO_KINK: Final = "no kink"
NOT_A_DECAY: Final = "not a Debye-Waller decay"
NOT_CONVERGED: Final = "not converged"
#: Of what follows from all modes: the range of energies ended inside their band.
TRUNCATED: Final = "range truncated"
#: Of a u² that follows from g(E) and the mass, where S(Q,E) falls less with Q than it
#: says.
U2_DISAGREES: Final = "disagrees with Q"
#: Of a g(E) whose u² is unknown, so that its multiphonon part, which is large, is too.
MULTIPHONONS_UNKNOWN: Final = "multiphonons unknown"
#: Of multiple scattering that was to be fitted: a background beyond the phonons was
#: taken for it, and nothing was left.
NO_SCATTERING: Final = "no multiple scattering"
#: Of an energy that the user named: nothing was sought.
GIVEN: Final = "given"
