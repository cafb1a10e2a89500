"""Moment tensor potentials: a fast native engine for Python, ASE and LAMMPS."""

from . import _core
from ._core import simd
from .active_set import SelectionResult, grade, select, select_add
from .engine import Engine, Evaluation
from .errors import (
    ActiveSetError,
    CfgFormatError,
    CheckpointError,
    CloseContactWarning,
    FormatError,
    InvalidStructureError,
    LevelError,
    MtpcoreError,
    PotentialFormatError,
    TrainingSetError,
    UnknownSpeciesError,
)
from .fit import FitResult, FitSettings, fit
from .fitting_problem import FitWeights
from .potential import (
    ActiveSet,
    Potential,
    get_parameters,
    new_potential,
    read_potential,
    set_parameters,
    write_potential,
)
from .upconvert import upconvert

__version__ = "0.1.0"

simd_available = _core.simd_available
select_simd = _core.select_simd

__all__ = [
    "ActiveSet",
    "ActiveSetError",
    "CfgFormatError",
    "CheckpointError",
    "CloseContactWarning",
    "Engine",
    "Evaluation",
    "FitResult",
    "FitSettings",
    "FitWeights",
    "FormatError",
    "InvalidStructureError",
    "LevelError",
    "MtpcoreError",
    "Potential",
    "PotentialFormatError",
    "SelectionResult",
    "TrainingSetError",
    "UnknownSpeciesError",
    "fit",
    "get_parameters",
    "grade",
    "new_potential",
    "read_potential",
    "select",
    "select_add",
    "select_simd",
    "set_parameters",
    "simd",
    "simd_available",
    "upconvert",
    "write_potential",
]
