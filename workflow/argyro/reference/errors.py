"""Errors of a potential on labels, by class of structure."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from ase import Atoms
from ase.units import GPa

from argyro.common.errors import LabelError
from argyro.labels.store import structure_hash
from mtpcore.ase import MTP

type FloatArray = npt.NDArray[np.float64]
type Prediction = tuple[float, FloatArray, FloatArray]
"""Energy in eV, forces of shape (N, 3) in eV/angstrom, stress of shape (6,) in eV/angstrom^3."""
type Predictor = Callable[[Atoms], Prediction]


def of_potential(calculator: MTP) -> Predictor:
    """What a potential predicts."""

    def predict(atoms: Atoms) -> Prediction:
        copy = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
        copy.calc = calculator
        return copy.get_potential_energy(), copy.get_forces(), copy.get_stress()

    return predict


def of_labels(labelled: Sequence[Atoms]) -> Predictor:
    """What other labels of the same structures say; of other structures it raises LabelError."""
    known = {structure_hash(atoms): atoms for atoms in labelled}

    def predict(atoms: Atoms) -> Prediction:
        found = known.get(structure_hash(atoms))
        if found is None:
            raise LabelError(
                f"{atoms.get_chemical_formula()} of {atoms.info.get('source', 'unknown source')} has a PBE label and "
                "is not in the large label set: choose structures of that set for PBE, or add it there"
            )
        return _labels(found)

    return predict


def error_table(predict: Predictor, labelled: Sequence[Atoms], *, shift_energies: bool) -> pd.DataFrame:
    """Errors by class, and over all of them.

    Args:
        predict: What is compared with the labels.
        labelled: With ``class`` in ``info``.
        shift_energies: Take the least-squares energy of each element out of the differences first: absolute energies of
            different codes do not compare.

    Returns:
        One row a class and one named ``all``: numbers of structures and atoms, root-mean-square errors of energy per
        atom, force component and pressure, mean absolute error of force components, their root mean square in the
        labels, and the slope of predicted over labelled force components (least squares through the origin).
    """
    rows = [_differences(predict, atoms) for atoms in labelled]
    if shift_energies:
        _shift(rows, labelled)
    names = sorted({str(atoms.info["class"]) for atoms in labelled})
    groups = {name: [r for r, a in zip(rows, labelled, strict=True) if a.info["class"] == name] for name in names}
    return pd.DataFrame([{"class": name} | _summary(group) for name, group in [*groups.items(), ("all", rows)]])


def fractions_of(structures: Sequence[Atoms], elements: Sequence[str]) -> FloatArray:
    """Fraction of each element in each structure, shape (M, S)."""
    return np.array([[np.mean(atoms.symbols == element) for element in elements] for atoms in structures])


def _labels(atoms: Atoms) -> Prediction:
    return float(atoms.info["REF_energy"]), np.asarray(atoms.arrays["REF_forces"]), np.asarray(atoms.info["REF_stress"])


def _differences(predict: Predictor, atoms: Atoms) -> dict[str, FloatArray | float]:
    energy, forces, stress = predict(atoms)
    label_energy, labels, label_stress = _labels(atoms)
    return {
        "energy": (energy - label_energy) / len(atoms),
        "forces": forces,
        "labels": labels,
        "pressure": -float((stress - label_stress)[:3].mean()) / GPa,
    }


def _shift(rows: list[dict[str, FloatArray | float]], labelled: Sequence[Atoms]) -> None:
    """Take out what the composition explains, in place."""
    elements = sorted({symbol for atoms in labelled for symbol in atoms.symbols})
    fractions = fractions_of(labelled, elements)
    energies = np.array([row["energy"] for row in rows])
    explained = fractions @ np.linalg.lstsq(fractions, energies, rcond=None)[0]
    for row, energy in zip(rows, energies - explained, strict=True):
        row["energy"] = float(energy)


def _summary(rows: list[dict[str, FloatArray | float]]) -> dict[str, float]:
    predicted = np.concatenate([np.ravel(row["forces"]) for row in rows])
    labels = np.concatenate([np.ravel(row["labels"]) for row in rows])
    energies, pressures = (np.array([row[key] for row in rows]) for key in ("energy", "pressure"))
    return {
        "structures": len(rows),
        "atoms": len(labels) // 3,
        "energy_rmse_meV_per_atom": 1000 * _rms(energies),
        "force_rmse_eV_per_angstrom": _rms(predicted - labels),
        "force_mae_eV_per_angstrom": float(np.abs(predicted - labels).mean()),
        "force_rms_eV_per_angstrom": _rms(labels),
        "force_slope": float(predicted @ labels / (labels @ labels)),
        "pressure_rmse_GPa": _rms(pressures),
    }


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
