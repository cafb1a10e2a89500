"""Whether runs on a GPU come to what LAMMPS's come to: diffusivity, temperature, volume and structure of Li6PS5Cl.

Three calls, which need not be on one machine; the folder goes along:

    python benchmarks/gpu_against_lammps.py lammps
    python benchmarks/gpu_against_lammps.py gpu
    python benchmarks/gpu_against_lammps.py compare

Li6PS5Cl with half of its anions exchanged, 416 atoms, the teacher that ships with the project, 700 K. Replicas differ
in velocities and thermostat; on the GPU all of an ensemble run side by side. Runs that are done are not made again.
Writes benchmarks/results/gpu_against_lammps.md.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase import Atoms

from argyro.common.extxyz import format_structure, read_structure
from argyro.common.files import replacing
from argyro.common.randomness import seed_for
from argyro.config.dynamics import Engine
from argyro.md.lammps import PotentialFile
from argyro.md.run import Run, RunResult, run_side_by_side
from argyro.md.settings import Ensemble, EnsembleName, RunSettings, Stream

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks/results/gpu_against_lammps.md"
POTENTIAL = PotentialFile(ROOT / "config/reference/teacher/Cl-12.mtp", ("Li", "P", "S", "Cl"))
TEMPERATURE = 700.0  # K
ALL, MOBILE = Stream("all", 500), Stream("mobile", 100, ("Li",))
EQUILIBRATION_PS, TIMESTEP_PS = 10.0, 0.002
LENGTHS_PS: dict[EnsembleName, float] = {"nvt": 150.0, "npt": 40.0}
REPLICAS: dict[Engine, int] = {"lammps": 12, "gpu": 16}
BLOCKS = 4  # of a run, for errors
WINDOWS_PS = ((5.0, 15.0), (10.0, 30.0), (20.0, 50.0))  # lags
SQUARE_ANGSTROM_PER_PS = 100.0  # in 1e-6 cm^2/s
PAIRS = (("Li", "S"), ("Li", "Cl"), ("P", "S"), ("Li", "Li"))

type FloatArray = npt.NDArray[np.float64]


def start(folder: Path) -> Atoms:
    """The cell at the volume of zero pressure and 700 K."""
    path = folder / "start.extxyz"
    if not path.exists():
        from argyro.config.materials import Material  # noqa: PLC0415  not needed where the file has come along
        from argyro.config.structures import DistanceLimits  # noqa: PLC0415
        from argyro.structures.bulk import build_bulk  # noqa: PLC0415

        material = Material(id="Li6PS5Cl-50", formula="Li6PS5Cl", anion="Cl", exchange_percent=50)
        atoms = build_bulk(material, (2, 2, 2), lithium_sites="48h", limits=DistanceLimits(), seed=1)
        settings = RunSettings(Ensemble("npt", TEMPERATURE), steps=steps(20.0), streams=(ALL,))
        table = run_side_by_side([Run(atoms, POTENTIAL, settings, folder / "volume", 1)])[0].thermo()
        volume = table["volume_angstrom3"].iloc[len(table) // 2 :].mean()
        atoms.set_cell(atoms.cell.array * np.cbrt(volume / atoms.get_volume()), scale_atoms=True)
        with replacing(path) as part:
            part.write_text(format_structure(atoms), encoding="utf-8")
    return read_structure(path)


def steps(picoseconds: float) -> int:
    """Of a run of this length."""
    return round(picoseconds / TIMESTEP_PS)


def runs(engine: Engine, ensemble: EnsembleName, folder: Path) -> list[Run]:
    """All replicas."""
    length = EQUILIBRATION_PS + LENGTHS_PS[ensemble]
    settings = RunSettings(Ensemble(ensemble, TEMPERATURE), steps=steps(length), streams=(ALL, MOBILE))
    atoms = start(folder)
    return [
        Run(atoms, POTENTIAL, settings, folder / f"{engine}-{ensemble}-{k}", seed_for(k, engine, ensemble))
        for k in range(REPLICAS[engine])
    ]


def results(engine: Engine, ensemble: EnsembleName, folder: Path) -> list[RunResult]:
    """Of all replicas, which are made if they are not there."""
    return run_side_by_side(runs(engine, ensemble, folder), engine=engine)


def mean_and_error(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Over replicas (first axis) cut into blocks (second axis)."""
    flat = values.reshape(-1, *values.shape[2:])
    return flat.mean(axis=0), flat.std(axis=0, ddof=1) / np.sqrt(len(flat))


def averages(found: list[RunResult], column: str) -> tuple[FloatArray, FloatArray]:
    """Of a column of the tables after equilibration."""
    rows = [result.thermo() for result in found]
    kept = [table.loc[table["time_ps"] > EQUILIBRATION_PS, column].to_numpy() for table in rows]
    return mean_and_error(np.array([[part.mean() for part in np.array_split(each, BLOCKS)] for each in kept]))


def slope(result: RunResult, begin: float, end: float) -> float:
    """Of the mean squared displacement of lithium between two lags, ps, over 6: 1e-6 cm^2/s."""
    from argyro.transport.displacements import ion_displacements  # noqa: PLC0415  not needed to run

    found = ion_displacements(result.trajectory(MOBILE.name), ["Li"])
    chosen = (found.times > begin) & (found.times < end)
    msd = found.squared.sum(axis=-1).mean(axis=0)
    return float(np.polyfit(found.times[chosen], msd[chosen], 1)[0]) / 6 * SQUARE_ANGSTROM_PER_PS


def compare(folder: Path) -> str:
    """The page."""
    from argyro.transport.distribution import radial_distribution  # noqa: PLC0415  not needed to run

    engines: tuple[Engine, Engine] = ("lammps", "gpu")
    lines = ["| quantity | LAMMPS | GPU | apart, combined standard errors |", "|---|---|---|---|"]

    def add(name: str, pair: list[tuple[float, float]], digits: int) -> None:
        (a, a_error), (b, b_error) = pair
        values = " | ".join(f"{x:.{digits}f} +- {error:.{digits}f}" for x, error in pair)
        lines.append(f"| {name} | {values} | {abs(a - b) / np.hypot(a_error, b_error):.1f} |")

    of = {(engine, name): results(engine, name, folder) for engine in engines for name in LENGTHS_PS}
    for begin, end in WINDOWS_PS:
        slopes = [np.array([slope(result, begin, end) for result in of[engine, "nvt"]]) for engine in engines]
        pair = [mean_and_error(values[:, None]) for values in slopes]
        add(f"D of Li, lags of {begin:g} to {end:g} ps, NVT, 1e-6 cm^2/s", [(float(m), float(e)) for m, e in pair], 2)
    for ensemble, column, name, digits in (
        ("nvt", "temperature_K", "temperature, NVT, K", 2),
        ("nvt", "potential_energy_eV", "potential energy, NVT, eV", 3),
        ("npt", "temperature_K", "temperature, NPT, K", 2),
        ("npt", "volume_angstrom3", "volume, NPT, angstrom^3", 1),
        ("npt", "potential_energy_eV", "potential energy, NPT, eV", 3),
    ):
        pair = [averages(of[engine, ensemble], column) for engine in engines]  # type: ignore[index]
        add(name, [(float(mean), float(error)) for mean, error in pair], digits)
    lines += [
        "",
        "| g(r), NPT | largest g | root mean square difference | in combined standard errors |",
        "|---|---|---|---|",
    ]
    for first, second in PAIRS:
        shells = {}
        for engine in engines:
            each = [radial_distribution(r.trajectory(ALL.name), first, second)[1] for r in of[engine, "npt"]]
            shells[engine] = mean_and_error(np.array(each)[:, None])
        (a, a_error), (b, b_error) = (shells[engine] for engine in engines)
        known = np.hypot(a_error, b_error) > 0
        apart = np.sqrt(np.mean((a - b)[known] ** 2 / (a_error**2 + b_error**2)[known]))
        rms = np.sqrt(np.mean((a - b) ** 2))
        lines.append(f"| {first}-{second} | {max(a.max(), b.max()):.2f} | {rms:.4f} | {apart:.2f} |")
    return "\n".join(lines)


def page(folder: Path) -> str:
    """What goes into the result file."""
    lengths = " and ".join(f"{length:g} ps {name.upper()}" for name, length in LENGTHS_PS.items())
    return (
        "# Runs on a GPU against runs of LAMMPS\n\n`benchmarks/gpu_against_lammps.py`: Li6PS5Cl, 50 % exchange, 416 "
        f"atoms, teacher of level 12, {TEMPERATURE:g} K; {lengths} after {EQUILIBRATION_PS:g} ps, "
        f"{REPLICAS['lammps']} replicas by LAMMPS, {REPLICAS['gpu']} on an H100. Errors of averages by {BLOCKS} blocks "
        "of each run, of D and g(r) by replicas. D is a slope in fixed windows, the same for both: that of the whole "
        "analysis is not resolved in every set, since the mean squared displacement is a little bent."
        f"\n\n{compare(folder)}\n"
    )


def main() -> None:
    """Make the runs of an engine, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["lammps", "gpu", "compare"])
    parser.add_argument("--folder", type=Path, default=ROOT / "results/gpu_against_lammps")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.what == "compare":
        RESULT.write_text(page(options.folder), encoding="utf-8")
        print(RESULT.read_text(encoding="utf-8"))
        return
    for ensemble in LENGTHS_PS:
        for result in results(options.what, ensemble, options.folder):
            print(result.folder.name, result.status, result.reason, f"{result.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
