"""Periodic bicrystals: two slabs of whole lattice layers, and therefore of exact composition, with two boundaries."""

from itertools import product
from math import ceil
from typing import Any

import numpy as np
from ase import Atoms
from scipy.spatial.transform import Rotation

from argyro.common.errors import StructureError
from argyro.common.randomness import generator_for
from argyro.config.materials import Material
from argyro.config.structures import Boundary, DistanceLimits, LithiumSites
from argyro.microstructure.model import Microstructure

from .assembly import framework_atoms, with_mobile_ions
from .boundary import BoundaryGeometry, boundary_geometry
from .contacts import contacts_of
from .crystal import Crystal, crystal_of
from .layering import Layering, slab_bodies, slab_sites
from .mobile import bulk_pattern, choose_sites
from .placed import join_bodies, join_sites
from .stacking import Stacking, boundaries_match, choose, registry, stackings
from .validator import require_sound, validate

THINNEST_GRAIN = 6.0  # angstrom: in thinner ones a boundary would touch the next
OPENING_STEP = 0.1  # angstrom by which slabs are moved apart further until all mobile ions find room
MAX_STEPS = 50
MISMATCH = 20.0  # angstrom of thickness that two boundaries alike are worth
MAX_EXTRA_LAYERS = 24  # beyond the asked thickness, of each grain, that are tried for the composition
WHOLE = 1e-6  # by which numbers of formula units may differ from whole ones
IN_PLANE = 1e-9  # relative: by which edges may be shorter than asked for


def build_bicrystal(
    material: Material,
    boundary: Boundary,
    *,
    min_grain_angstrom: float,
    min_width_angstrom: float = 0.0,
    translation_step_angstrom: float = 1.0,
    candidate: int = 0,
    lithium_sites: LithiumSites = "48h",
    limits: DistanceLimits,
    seed: int,
) -> Atoms:
    """A periodic bicrystal, unrelaxed.

    Args:
        material: What to build.
        boundary: Plane and rotation.
        min_grain_angstrom: Thickness of each grain along the normal, at least; rounded up to whole lattice layers, and
            so that the composition is exact.
        min_width_angstrom: Edges of the cell along the plane, at least; rounded up to whole shared cells.
        translation_step_angstrom: Distance, along the plane, of the translations that are tried.
        candidate: Which of the stackings to build, ordered by excess volume.
        lithium_sites: Of argyrodites.
        limits: How close atoms may come.
        seed: Of the arrangement of anions and mobile ions.

    Returns:
        Atoms in the order of the potential's species, the normal along z, one boundary at z = 0 and one at
        ``info["boundary_z_angstrom"]``, with arrays ``grain`` and ``boundary_distance_angstrom``.

    Raises:
        FileError: the CIF cannot be read.
        StructureError: there is no such boundary, the composition is not possible, or the result is not sound.
    """
    if min_grain_angstrom < THINNEST_GRAIN:
        raise StructureError(
            f"boundary {boundary.name}: in grains of {min_grain_angstrom:g} angstrom two boundaries would touch; take "
            f"{THINNEST_GRAIN:g} or more"
        )
    crystal = crystal_of(material, lithium_sites, limits)
    geometry = boundary_geometry(crystal, boundary)
    repeats = [max(1, ceil(min_width_angstrom / np.linalg.norm(edge) - IN_PLANE)) for edge in geometry.cell]
    plane_cell = geometry.cell * np.array(repeats)[:, None]
    counts, units = _layers(crystal, geometry, repeats, min_grain_angstrom)
    found = stackings(crystal, geometry, counts, contacts_of(crystal, limits), translation_step_angstrom)
    stacking = choose(found, candidate, allow_charged=boundary.allow_charged, name=boundary.name)
    slabs = [
        Layering(geometry.layers[g], geometry.orientations[g], plane_cell, stacking.cuts[g], counts[g]) for g in (0, 1)
    ]
    atoms = _filled(crystal, slabs, stacking, units=units, limits=limits, seed=seed)
    atoms.info.update(material=material.id, exchange_percent=material.exchange_percent)
    atoms.info.update(_description(boundary, geometry, stacking, crystal))
    require_sound(validate(atoms, material, limits), f"the bicrystal {boundary.name} of {material.id}")
    return atoms


def bicrystal_microstructure(atoms: Atoms, name: str, seed: int) -> Microstructure:
    """The two slabs of a bicrystal as a tessellation, its facets the two boundaries.

    Args:
        atoms: From `build_bicrystal`.
        name: Of the microstructure.
        seed: What the atoms were built with.
    """
    height = float(atoms.cell.array[2, 2])
    below = float(atoms.info["boundary_z_angstrom"]) / height
    # Between seeds half a period d apart the plane is (d^2 + w) / (2 d) from the first, which should be half a slab
    weight = (2 * below - 1) * height**2 / 4
    return Microstructure(
        name=name,
        seed=seed,
        cell_angstrom=atoms.cell.array.tolist(),
        seeds_fractional=((0.0, 0.0, below / 2), (0.0, 0.0, (1 + below) / 2)),
        weights_angstrom2=(weight, 0.0),
        orientations_quaternion=atoms.info["orientations_quaternion"],
    )


def _layers(
    crystal: Crystal, geometry: BoundaryGeometry, repeats: list[int], thickness: float
) -> tuple[tuple[int, int], int]:
    """Numbers of layers of both grains, and of formula units of both together."""
    area = geometry.area * repeats[0] * repeats[1]
    spacing = geometry.layers[:, 2, 2]
    least = [ceil(thickness / d - WHOLE) for d in spacing]
    per_layer = area * spacing / crystal.volume_per_formula_unit

    def cost(counts: tuple[int, int]) -> tuple[float, float]:
        first, second = counts * spacing
        return float(first + second) + MISMATCH * (not boundaries_match(geometry, counts)), float(abs(first - second))

    tried = [(least[0] + one, least[1] + other) for one, other in product(range(MAX_EXTRA_LAYERS), repeat=2)]
    for counts in sorted(tried, key=cost):
        units = float(counts @ per_layer)
        if abs(units - round(units)) < WHOLE * units and crystal.is_possible(round(units)):
            return counts, round(units)
    raise StructureError(
        f"{crystal.material.id}: the composition, with exchange_percent {crystal.material.exchange_percent:g}, is not "
        f"possible in bicrystals of {geometry.area:.0f} square angstrom with grains of {thickness:g} angstrom or up to "
        f"{MAX_EXTRA_LAYERS} lattice layers more; the nearest possible exchanges are multiples of "
        f"{100 / (least @ per_layer):.4g} percent; take one, or a larger min_width_angstrom"
    )


def _filled(
    crystal: Crystal, slabs: list[Layering], stacking: Stacking, *, units: int, limits: DistanceLimits, seed: int
) -> Atoms:
    """Atoms of two slabs, apart as far as the stacking demands, or a little further if mobile ions need it."""
    pattern = bulk_pattern(crystal, generator_for(seed, "pattern"))
    for step in range(MAX_STEPS):
        rng = generator_for(seed, "arrangement")
        gaps = np.array(stacking.gaps) + step * OPENING_STEP
        origins = np.zeros((2, 3))
        origins[1] = registry(*slabs) + stacking.translation
        origins[:, 2] = gaps[1] / 2, gaps[1] / 2 + slabs[0].thickness + gaps[0]
        cell = np.vstack([slabs[0].cell, [0, 0, sum(slab.thickness for slab in slabs) + gaps.sum()]])
        bodies = [
            join_bodies([slab_bodies(body, slab, g, origins[g]) for g, slab in enumerate(slabs)])
            for body in crystal.framework
        ]
        framework = framework_atoms(crystal, bodies, units, cell, rng)
        sites = join_sites([slab_sites(crystal, pattern, slab, g, origins[g]) for g, slab in enumerate(slabs)])
        ions = crystal.mobile_ions(units, framework)
        chosen = choose_sites(sites, framework, crystal, limits, rng)
        if len(chosen) >= ions:
            atoms = with_mobile_ions(framework, sites[chosen[:ions]], crystal)
            _mark(atoms, float(gaps[1] / 2 + slabs[0].thickness + gaps[0] / 2))
            atoms.info.update(gaps_angstrom=gaps.round(6).tolist())
            return atoms
    raise StructureError(
        f"{crystal.material.id}: mobile ions find no room between the grains, moved apart by {gaps[0]:.1f} and "
        f"{gaps[1]:.1f} angstrom; lower structures.limits"
    )


def _mark(atoms: Atoms, boundary: float) -> None:
    """Set arrays and position of the boundaries, in place."""
    del atoms.arrays["depth"]
    height = atoms.cell.array[2, 2]
    z = atoms.positions[:, 2]
    from_first = np.abs((z + height / 2) % height - height / 2)
    from_second = np.abs((z - boundary + height / 2) % height - height / 2)
    atoms.set_array("boundary_distance_angstrom", np.minimum(from_first, from_second))
    atoms.info["boundary_z_angstrom"] = boundary


def _description(
    boundary: Boundary, geometry: BoundaryGeometry, stacking: Stacking, crystal: Crystal
) -> dict[str, Any]:
    """What is known of a boundary, as ``info`` and JSON hold it."""
    quaternions = Rotation.from_matrix(geometry.orientations).as_quat(scalar_first=True)
    return {
        "boundary": boundary.name,
        "axis": "normal" if boundary.axis is None else list(boundary.axis),
        "plane": list(boundary.plane),
        "sigma": geometry.sigma or 0,
        "misorientation_degrees": geometry.misorientation_degrees,
        "orientations_quaternion": quaternions.tolist(),
        "translation_angstrom": stacking.translation[:2].round(6).tolist(),
        "terminations": list(stacking.cuts),
        "charge_e_per_angstrom2": round(stacking.charge, 6),
        "boundaries_equivalent": geometry.boundaries_equivalent(crystal),
    }
