"""Broken configurations and structure files: one clear message each, a failure, and no job."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk

import mtpcore
from argyro.campaign.inputs import check_inputs
from argyro.campaign.run import main
from argyro.common.extxyz import write_structures
from argyro.config.generate import SCHEMA_FILE, default_yaml, schema_json
from argyro.config.load import DEFAULT_FILE, ROOT, load_files, preset_file

MATERIAL = "{id: a, formula: Li6PS5Cl, anion: Cl}"
BROKEN = {
    "wrong key": ("campain: x", "campain: is not a known key; did you mean 'campaign'?"),
    "wrong nested key": ("structures: {seeds: {cout: 3}}", "structures.seeds.cout: is not a known key"),
    "wrong key in a list": ("materials: [{id: a, formla: Li6PS5Cl}]", "materials[0].formla: is not a known key"),
    "missing key": ("materials: [{id: a, formula: Li6PS5Cl}]", "materials[0].anion: is missing"),
    "unit in the value": (
        "labels: {gpaw: {cutoff_eV: 350 eV}}",
        "labels.gpaw.cutoff_eV: input should be a valid number",
    ),
    "wrong unit in the key": ("labels: {gpaw: {cutoff_Ry: 25}}", "labels.gpaw.cutoff_Ry: is not a known key"),
    "negative number": ("structures: {seeds: {count: -3}}", "structures.seeds.count: input should be greater than 0"),
    "zero": ("structures: {bulk: {supercell: [0, 1, 1]}}", "supercell[0]: input should be greater than 0, got 0"),
    "not a number": ("structures: {seeds: {random_strain: .nan}}", "random_strain: input should be"),
    "infinity": ("labels: {gates: {max_force_eV_per_angstrom: .inf}}", "should be a finite number, got inf"),
    "text for a number": ("structures: {seeds: {count: many}}", "count: input should be a valid integer, got 'many'"),
    "number as text": ("seed: '1'", "seed: input should be a valid integer, got '1'"),
    "truth for a number": ("seed: true", "seed: input should be a valid integer, got True"),
    "fraction for an integer": ("structures: {seeds: {count: 2.5}}", "count: input should be a valid integer"),
    "number for a list": ("structures: {bulk: {supercell: 2}}", "supercell: input should be a valid array, got 2"),
    "short list": ("structures: {bulk: {supercell: [2, 2]}}", "supercell"),
    "list for a mapping": ("structures: [1]", "structures: "),
    "unknown choice": ("labels: {backend: dftb}", "labels.backend: input should be 'mtp', 'tblite', 'gpaw'"),
    "percentage above 100": (f"materials: [{MATERIAL[:-1]}, exchange_percent: 120}}]", "less than or equal to 100"),
    "no material": ("materials: []", "materials: "),
    "material twice": (f"materials: [{MATERIAL}, {MATERIAL}]", "the id 'a' is given twice"),
    "unknown element": ("materials: [{id: a, formula: Li6PS5Xx, anion: Cl}]", "names 'Xx', which is not an element"),
    "no formula": ("materials: [{id: a, formula: lithium, anion: Cl}]", "'lithium' is not a formula"),
    "charged formula": ("materials: [{id: a, formula: Li7PS5Cl, anion: Cl}]", "has charge +1 per formula unit"),
    "odd stoichiometry": (
        "materials: [{id: a, formula: Li5.7PS4.7Cl1.3, anion: Cl}]",
        "is not possible in a 2x2x2 cell with its 32 formula units",
    ),
    "impossible exchange": (
        f"materials: [{MATERIAL[:-1]}, exchange_percent: 30}}]",
        "the nearest possible are 28.125 and 31.25",
    ),
    "wrong anion": (
        "materials: [{id: a, formula: Li6PS5Cl, anion: Br}]",
        "anion 'Br' does not fit the formula Li6PS5Cl",
    ),
    "name with a slash": ("campaign: ../other", "campaign: string should match pattern"),
    "missing CIF": (f"materials: [{MATERIAL[:-1]}, cif: no such.cif}}]", "no such.cif"),
    "unfit method": (
        "materials: [{id: a, formula: Li6PS5Br, anion: Br}]",
        "GFN1-xTB is broken for periodic",
    ),
    "teacher without file": ("labels: {backend: mtp}", "backend 'mtp' needs mtp.potentials"),
    "missing teacher": ("labels: {mtp: {potentials: {LiPSCl: none.mtp}}}", "there is no file"),
    "neither seeds nor labels": (
        "structures: {seeds: {kind: none}}",
        "structures.seeds.kind 'none' leaves nothing to fit to: give files of ready labels in labels.import",
    ),
    "hasty thermostat": (
        "structures: {seeds: {md: {thermostat_ps: 0.1}}}",
        "structures.seeds.md.thermostat_ps: input should be greater than or equal to 0.5",
    ),
    "run too short for a seed": ("structures: {seeds: {md: {duration_ps: 0.01}}}", "no seed in 5 steps"),
    "key twice": ("seed: 1\nseed: 2", "the key 'seed' is given twice"),
    "damaged file": ("structures: {seeds: [", "is not valid YAML in line"),
    "no mapping": ("just words", "holds no settings"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_configuration_is_one_clear_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, complaint = BROKEN[name]
    file = tmp_path / "my settings.yaml"
    file.write_text(text)
    monkeypatch.setenv("ARGYRO_RESULTS", str(tmp_path / "results"))
    assert main(["--configfile", str(file)]) == 2
    message = capsys.readouterr().err
    assert complaint in message
    assert "my settings.yaml" in message
    assert "Traceback" not in message
    assert message.startswith("argyro: error: ")
    assert not (tmp_path / "results").exists()


def test_ready_labels_alone_must_know_every_chemical_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ARGYRO_RESULTS", str(tmp_path / "results"))
    atoms = bulk("LiCl", "rocksalt", a=5.13)
    atoms.info |= {"REF_energy": -1.0, "REF_stress": np.zeros(6), "level_of_theory": "test"}
    atoms.set_array("REF_forces", np.zeros((2, 3)))
    write_structures(tmp_path / "ready.extxyz", [atoms])
    (tmp_path / "my.yaml").write_text(
        f'structures: {{seeds: {{kind: none}}}}\nlabels: {{import: ["{tmp_path}/ready.extxyz"]}}'
    )
    assert main(["--configfile", str(tmp_path / "my.yaml"), "-n"]) == 2
    assert "no structure of labels.import has the elements of LiPSCl" in capsys.readouterr().err


CIF = """data_rock_salt
_cell_length_a 5.13
_cell_length_b 5.13
_cell_length_c 5.13
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
_symmetry_Int_Tables_number 225
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Li1 Li 0 0 0 1.0
Cl1 Cl 0.5 0.5 0.5 1.0
"""
BROKEN_CIFS = {
    "empty": ("", "is empty"),
    "text": ("This is not a crystal.\n", "crystal structure in CIF format"),
    "truncated": (CIF[:300], "crystal structure in CIF format"),
    "unknown element": (CIF.replace("Cl1 Cl", "Xx1 Xx"), "Xx"),
    "other element": (CIF.replace("Cl1 Cl", "Br1 Br"), "LiCl"),
    "odd stoichiometry": (CIF.replace("Li1 Li 0 0 0 1.0", "Li1 Li 0 0 0 0.75"), "LiCl"),
    "impossible occupancy": (CIF.replace("Li1 Li 0 0 0 1.0", "Li1 Li 0 0 0 0.3"), "nearest possible"),
    "occupancy above one": (CIF.replace("Li1 Li 0 0 0 1.0", "Li1 Li 0 0 0 1.5"), "occupanc"),
    "text for a number": (CIF.replace("_cell_length_a 5.13", "_cell_length_a long"), "crystal structure in CIF format"),
    "not text": ("\x00\x01\x02", "crystal structure in CIF format"),
}
ROCK_SALT = """
materials: [{id: LiCl, formula: LiCl, anion: Cl, cif: "CRYSTAL", rigid_units: []}]
structures: {bulk: {supercell: [1, 1, 1]}, seeds: {supercell: [1, 1, 1]}}
"""


def run_with_crystal(folder: Path, text: str) -> int:
    """Dry run of a material with a CIF in a folder with spaces in its name."""
    crystal = folder / "a folder" / "rock salt.cif"
    crystal.parent.mkdir()
    crystal.write_text(text)
    (folder / "my.yaml").write_text(ROCK_SALT.replace("CRYSTAL", str(crystal)))
    return main(["--configfile", str(folder / "my.yaml"), "-n"])


@pytest.mark.parametrize("name", BROKEN_CIFS)
def test_broken_structure_file_is_one_clear_message_before_any_job(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, complaint = BROKEN_CIFS[name]
    monkeypatch.setenv("ARGYRO_RESULTS", str(tmp_path / "results"))
    assert run_with_crystal(tmp_path, text) == 2
    message = capsys.readouterr().err
    assert message.startswith("argyro: error: materials: LiCl")
    assert "rock salt.cif" in message
    assert complaint in message
    assert "Traceback" not in message
    assert not (tmp_path / "results").exists()


def test_sound_structure_file_is_taken_from_a_path_with_spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGYRO_RESULTS", str(tmp_path / "results"))
    assert run_with_crystal(tmp_path, CIF) == 0


LABEL = (
    '1\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:REF_forces:R:3 REF_energy=1 '
    'REF_stress="0 0 0 0 0 0" KEY pbc="T T T"\nLi 0 0 0 0 0 0\n'
)
LABEL_AT_A, LABEL_AT_B = LABEL.replace("KEY", "level_of_theory=a"), LABEL.replace("KEY", "level_of_theory=b")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (LABEL.replace("KEY", ""), "structure 0 lacks level_of_theory"),
        (
            LABEL.replace("KEY", "level_of_theory=a") + LABEL.replace("KEY", "level_of_theory=b"),
            "cannot be mixed: a, b",
        ),
        (LABEL_AT_A.replace("energy=1", "energy=nan"), "not finite"),
        ("", "holds no structure"),
    ],
)
def test_broken_file_of_labels_is_one_clear_message(
    text: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ARGYRO_RESULTS", str(tmp_path / "results"))
    (tmp_path / "my labels.extxyz").write_text(text)
    (tmp_path / "my.yaml").write_text(f'labels: {{import: ["{tmp_path}/my labels.extxyz"]}}')
    assert main(["--configfile", str(tmp_path / "my.yaml"), "-n"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("argyro: error: labels.import: ")
    assert complaint in message


@pytest.mark.parametrize(
    ("content", "systems", "complaint"),
    [
        ("", "LiPSCl", "labels.mtp.potentials: LiPSCl: "),
        (None, "{LiPSCl: FILE, LiPSClBr: FILE}", "names 5 elements, and"),
        (None, "LiPSBr", "has files for LiPSBr only, not for Cl, Li, P, S"),
        (None, "Li6PSCl", "'Li6PSCl' is no chemical system"),
    ],
)
def test_broken_teacher_is_one_clear_message(
    content: str | None,
    systems: str,
    complaint: str,
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ARGYRO_RESULTS", str(tmp_path / "results"))
    path = tmp_path / "teacher.mtp"
    mtpcore.write_potential(path, mtpcore.new_potential(4, 4, min_dist=1.0, max_dist=5.0))
    if content is not None:
        path.write_text(content)
    files = (systems if systems.startswith("{") else f"{{{systems}: FILE}}").replace("FILE", str(path))
    text = f"labels: {{backend: mtp, mtp: {{potentials: {files}}}}}"
    (tmp_path / "my.yaml").write_text(text)
    assert main(["--configfile", str(tmp_path / "my.yaml"), "-n"]) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--configfile", "none.yaml"], "none.yaml: cannot be read: No such file or directory"),
        (
            ["--preset", "none"],
            "--preset none: there is no such preset; allowed: paper, published, quickstart, reference, workstation,",
        ),
        (["--config", "seed"], "--config seed: expected KEY=VALUE"),
        (["--config", "seed=-1"], "--config: seed: input should be greater than or equal to 0, got -1"),
    ],
)
def test_wrong_command_line_is_one_clear_message(
    words: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ARGYRO_RESULTS", str(tmp_path / "results"))
    assert main(words) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(("backend", "extra"), [("gpaw", "dft"), ("sevennet", "teacher")])
def test_missing_package_is_said_before_any_job(
    backend: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("argyro.campaign.inputs.find_spec", lambda _name: None)
    assert main(["--config", f"labels.backend={backend}", "-n"]) == 2
    assert f"not installed; run: scripts/run --with {extra}" in capsys.readouterr().err


def test_teachers_from_shipped_labels_need_no_package_that_labels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ARGYRO_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr("argyro.campaign.inputs.find_spec", lambda _name: None)
    assert main(["--preset", "reference", "reference_teachers", "-n"]) == 0
    assert main(["--preset", "reference", "reference_labels", "-n"]) == 2


OTHER_LEVELS = {
    "cutoff of GPAW": ("gpaw", "fast", {}),
    "k-points of GPAW": ("gpaw", "paper", {"cutoff_eV": 350.0}),
    "cutoff of CP2K": ("cp2k", "paper", {}),
}
SAME_LEVEL = {
    "no other protocol": ("gpaw", "moderate", {}),
    "tolerances of GPAW": ("gpaw", "fast", {"cutoff_eV": 350.0}),
    "k-points and cutoff of GPAW set": ("gpaw", "paper", {"cutoff_eV": 400.0, "kpoints": [1, 1, 1]}),
    "cutoff of CP2K set": ("cp2k", "paper", {"cutoff_eV": 8200.0}),
    "accuracy of tblite": ("tblite", "paper", {}),
}


def words_of_protocols(backend: str, protocol: str, own: dict[str, Any]) -> list[str]:
    """Settings of a ladder whose second level has labels by a protocol, the seeds by the protocol moderate."""
    return [
        f"labels={{backend: {backend}, protocol: moderate, {backend}: {json.dumps(own)}}}",
        f"learning.ladder=[{{level: 6}}, {{level: 8, label_protocol: {protocol}}}]",
    ]


@pytest.mark.parametrize("name", OTHER_LEVELS)
def test_labels_that_cannot_be_fitted_together_are_refused_before_any_is_paid(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    backend, protocol, own = OTHER_LEVELS[name]
    assert main(["-n", "--config", *words_of_protocols(backend, protocol, own)]) == 2
    message = capsys.readouterr().err
    assert f"level 8 has label_protocol {protocol}, which for labels.backend {backend} is PBE/" in message
    assert "leave label_protocol out" in message


@pytest.mark.parametrize("name", SAME_LEVEL)
def test_protocols_of_one_level_of_theory_may_differ(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("argyro.campaign.inputs.find_spec", lambda _name: True)
    check_inputs(load_files(None, words_of_protocols(*SAME_LEVEL[name])))


def test_default_file_and_schema_are_those_of_the_models() -> None:
    remedy = "run .venv/bin/python -m argyro.config and commit what it writes"
    assert default_yaml() == DEFAULT_FILE.read_text(), remedy
    assert schema_json() == SCHEMA_FILE.read_text(), remedy


@pytest.mark.parametrize("preset", sorted(p.stem for p in (ROOT / "config").glob("*.yaml") if p.stem != "default"))
def test_every_preset_is_a_valid_configuration(preset: str) -> None:
    assert load_files(preset_file(preset)).campaign == preset


def test_relative_paths_are_taken_from_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_files(None, ["labels.store=shared labels"])
    assert config.labels.store == ROOT / "shared labels"
