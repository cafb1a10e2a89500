"""Broken configurations and structure files: one clear message each, a failure, and no job."""

from pathlib import Path

import pytest

from argyro.campaign.run import main
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
    "teacher without file": ("labels: {backend: mtp}", "backend 'mtp' needs mtp.potential"),
    "missing teacher": ("labels: {mtp: {potential: none.mtp}}", "there is no file"),
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


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--configfile", "none.yaml"], "none.yaml: cannot be read: No such file or directory"),
        (["--preset", "none"], "--preset none: there is no such preset; allowed: paper, quickstart, workstation, xtb"),
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
