"""Types of the compiled core."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int32]

class ActiveSet:
    energy_weight: float
    force_weight: float
    stress_weight: float
    site_energy_weight: float
    weight_scaling: int
    configurations: str
    matrix: FloatArray
    inverse_transposed: FloatArray
    configuration_index: IntArray
    equation_index: IntArray
    def __init__(self) -> None: ...
    @property
    def neighborhood_mode(self) -> bool: ...

class Potential:
    name: str
    tag: str
    scaling: float
    species_count: int
    min_dist: float
    max_dist: float
    radial_basis_size: int
    radial_funcs_count: int
    species_labels: list[int]
    alpha_moments_count: int
    trained: bool
    active_set: ActiveSet | None
    alpha_index_basic: IntArray
    alpha_index_times: IntArray
    alpha_moment_mapping: IntArray
    radial_coeffs: FloatArray
    species_coeffs: FloatArray
    moment_coeffs: FloatArray
    def __init__(self, other: Potential = ...) -> None: ...
    @property
    def parameter_count(self) -> int: ...
    def validate(self) -> None: ...

class Engine:
    def __init__(self, potential: Potential) -> None: ...
    def evaluate(
        self,
        types: IntArray,
        positions: FloatArray,
        cell: FloatArray,
        periodic: Sequence[bool],
        threads: int,
    ) -> dict[str, Any]: ...
    def jacobian(
        self,
        types: IntArray,
        positions: FloatArray,
        cell: FloatArray,
        periodic: Sequence[bool],
        threads: int,
    ) -> FloatArray: ...
    def grades(
        self,
        types: IntArray,
        positions: FloatArray,
        cell: FloatArray,
        periodic: Sequence[bool],
        threads: int,
    ) -> FloatArray: ...
    def loss_gradient(
        self,
        types: IntArray,
        positions: FloatArray,
        cell: FloatArray,
        periodic: Sequence[bool],
        energy_weight: float,
        force_weights: FloatArray,
        strain_weights: FloatArray,
        threads: int,
    ) -> FloatArray: ...
    def set_parameters(self, parameters: FloatArray) -> None: ...
    def set_inverse(self, inverse_transposed: FloatArray) -> None: ...
    @property
    def parameter_count(self) -> int: ...
    @property
    def species_count(self) -> int: ...
    @property
    def max_dist(self) -> float: ...
    @property
    def product_count(self) -> tuple[int, int, int]: ...

class Dataset:
    def __init__(self, cutoff: float) -> None: ...
    def add(
        self,
        types: IntArray,
        positions: FloatArray,
        cell: FloatArray,
        periodic: Sequence[bool],
        species_count: int,
        min_dist: float,
    ) -> list[tuple[int, int, float]]: ...
    def predict(self, engine: Engine, virial: bool, threads: int) -> tuple[FloatArray, FloatArray, FloatArray]: ...
    def gradient(
        self,
        engine: Engine,
        energy_weights: FloatArray,
        force_weights: FloatArray,
        virial_weights: FloatArray,
        threads: int,
    ) -> FloatArray: ...
    def normal_equations(
        self,
        engine: Engine,
        energy_factors: FloatArray,
        energies: FloatArray,
        force_factors: FloatArray,
        forces: FloatArray,
        virial_factors: FloatArray | None,
        virials: FloatArray | None,
        linear_only: bool,
        threads: int,
    ) -> FloatArray: ...
    @property
    def structure_count(self) -> int: ...
    @property
    def total_atom_count(self) -> int: ...
    def atom_count(self, structure: int) -> int: ...

def read_potential(path: str) -> Potential: ...
def write_potential(path: str, potential: Potential) -> None: ...
def order_by_banks(
    first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], ends: npt.NDArray[np.bool_], group: int
) -> tuple[IntArray, IntArray, npt.NDArray[np.uint8]]: ...
def simd() -> str: ...
def simd_available() -> list[str]: ...
def select_simd(name: str) -> None: ...
