"""Files of potentials to damage and to compare with, and a potential with an active set."""

from pathlib import Path
from typing import Any

import numpy as np
from helpers import random_potential_fields
from native import native_potential, with_random_active_set

from mtpcore import Potential, read_potential

# What MLIP ships: tables and no coefficients
TEMPLATE = """\
MTP
version = 1.1.0
potential_name = MTP1m
species_count = 1
potential_tag =
radial_basis_type = RBChebyshev
\tmin_dist = 2
\tmax_dist = 5
\tradial_basis_size = 8
\tradial_funcs_count = 1
alpha_moments_count = 2
alpha_index_basic_count = 1
alpha_index_basic = {{0, 0, 0, 0}}
alpha_index_times_count = 1
alpha_index_times = {{0, 0, 1, 1}}
alpha_scalar_moments = 2
alpha_moment_mapping = {0, 1}
"""

# A trained potential of two species, short enough to count its lines
SMALL = """\
MTP
version = 1.1.0
potential_name = MTP1m
scaling = 0.5
species_count = 2
potential_tag =
radial_basis_type = RBChebyshev
\tmin_dist = 1.5
\tmax_dist = 5
\tradial_basis_size = 3
\tradial_funcs_count = 1
\tradial_coeffs
\t\t0-0
\t\t\t{0.1, 0.2, 0.3}
\t\t0-1
\t\t\t{0.4, 0.5, 0.6}
\t\t1-0
\t\t\t{0.7, 0.8, 0.9}
\t\t1-1
\t\t\t{1.0, 1.1, -1.2e-1}
alpha_moments_count = 2
alpha_index_basic_count = 1
alpha_index_basic = {{0, 0, 0, 0}}
alpha_index_times_count = 1
alpha_index_times = {{0, 0, 1, 1}}
alpha_scalar_moments = 2
alpha_moment_mapping = {0, 1}
species_coeffs = {-1.5, 2.5}
moment_coeffs = {0.25, -0.125}
"""

CONFIGURATIONS = """\
BEGIN_CFG
 Size
    1
 AtomData:  id type  cartes_x  cartes_y  cartes_z
    1 0  0.0  0.0  0.0
 Feature   selected_eqn_inds\t0
END_CFG

"""


def put(folder: Path, content: str | bytes, name: str = "p.mtp") -> Path:
    """A file with this content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(folder: Path, content: str | bytes) -> Potential:
    """The potential in this content."""
    return read_potential(put(folder, content))


def selected_potential() -> Potential:
    """A potential with an active set whose every part has a value of its own."""
    potential = with_random_active_set(native_potential(random_potential_fields(4, 2, seed=3)))
    active_set: Any = potential.active_set
    count = potential.parameter_count
    active_set.weight_scaling = 2
    active_set.configuration_index = np.where(np.arange(count) % 3, 0, -1).astype(np.int32)
    active_set.equation_index = np.where(np.arange(count) % 3, np.arange(count), -1).astype(np.int32)
    active_set.configurations = CONFIGURATIONS
    potential.active_set = active_set
    return potential
