"""Settings of the stage `labels`."""

from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from .base import FolderPath, Fraction, InputFile, NonNegativeFloat, PositiveFloat, PositiveInt, Section
from .composition import parse_formula

CHEAP_STRUCTURES_PER_JOB = {"mtp": 1000, "sevennet": 100, "tblite": 10}  # about half a minute to a minute
type BackendName = Literal["mtp", "tblite", "gpaw", "sevennet", "cp2k", "espresso", "vasp"]
type ProtocolName = Literal["fast", "moderate", "paper"]
type Mesh = tuple[PositiveInt, PositiveInt, PositiveInt]


class MtpConfig(Section):
    """Given moment tensor potentials as teachers."""

    potentials: dict[str, InputFile] = Field(default_factory=dict)
    """File, .mtp or .almtp, of each chemical system, which is named by its elements in the order of the file's species,
    such as LiPSCl."""

    @field_validator("potentials")
    @classmethod
    def _names_systems(cls, potentials: dict[str, Path]) -> dict[str, Path]:
        for system in potentials:
            if any(amount != 1 for amount in parse_formula(system).values()):
                raise ValueError(f"'{system}' is no chemical system; write its elements only, such as LiPSCl")
        return potentials

    def system_of(self, elements: AbstractSet[str]) -> str | None:
        """Name of the chemical system of exactly these elements; None if there is no potential for it."""
        return next((system for system in self.potentials if set(parse_formula(system)) == elements), None)


class TbliteConfig(Section):
    """GFN-xTB by tblite."""

    method: Literal["GFN1-xTB", "GFN2-xTB"] = "GFN1-xTB"
    """Hamiltonian. In periodic cells GFN1 is unfit for Br and I, and GFN2 does not converge with Cl."""
    electronic_temperature_K: PositiveFloat = 300.0
    """Of the Fermi smearing."""
    accuracy: PositiveFloat | None = None
    """Of tblite, smaller is tighter; null: the protocol's."""


class PlaneWaveConfig(Section):
    """What all plane-wave codes have in common; null: the protocol's value."""

    cutoff_eV: PositiveFloat | None = None
    """Kinetic-energy cutoff of the plane waves."""
    kpoints: Mesh | None = None
    """Monkhorst-Pack mesh, Gamma included."""
    smearing_eV: PositiveFloat | None = None
    """Width of the smearing of occupations: one for all of a campaign."""
    energy_tolerance: PositiveFloat | None = None
    """Of self-consistency: eV per valence electron in GPAW, Ry in Quantum ESPRESSO, eV in VASP."""


class GpawConfig(PlaneWaveConfig):
    """PBE by GPAW in plane waves; `scripts/run --with dft` installs it."""


class SevennetConfig(Section):
    """A foundation model of SevenNet; `scripts/run --with teacher` installs it."""

    model: Literal["7net-0", "7net-l3i5", "7net-omat"] = "7net-0"
    """Name of the model; 7net-0 comes with the package, the others are downloaded when first used."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where it runs."""


class Cp2kConfig(Section):
    """PBE by CP2K with GTH pseudopotentials and the basis DZVP-MOLOPT-SR-GTH, at Gamma."""

    command: tuple[str, ...] = ("cp2k",)
    """How it is started; the names of input and output are added."""
    cutoff_eV: PositiveFloat | None = None
    """Cutoff of the finest grid; null: the protocol's."""
    relative_cutoff_eV: PositiveFloat | None = None
    """Cutoff that maps Gaussians to grids; null: the protocol's."""
    scf_tolerance: PositiveFloat | None = None
    """Of self-consistency, CP2K's EPS_SCF; null: the protocol's."""


class EspressoConfig(PlaneWaveConfig):
    """PBE by Quantum ESPRESSO."""

    command: tuple[str, ...] = ("pw.x",)
    """How it is started; the name of the input is added."""
    pseudopotentials: FolderPath | None = None
    """Folder with one UPF file per element, its name beginning with the element and a dot or underscore."""


class VaspConfig(PlaneWaveConfig):
    """PBE by VASP."""

    command: tuple[str, ...] = ("vasp_std",)
    """How it is started."""
    version: str | None = None
    """Your VASP's version, such as 6.4.3: recorded with every label, and compared with what VASP says."""
    potentials: FolderPath | None = None
    """Folder of the licensed PAW potentials: one folder per dataset, with a POTCAR in it."""
    datasets: dict[str, str] = Field(default_factory=dict)
    """Dataset of each element, such as Li: Li_sv; the element's own name where nothing is said."""


class GatesConfig(Section):
    """What a finished label must pass to be used."""

    max_force_eV_per_angstrom: PositiveFloat = 20.0
    """Largest force on any atom."""
    max_net_force_eV_per_angstrom: PositiveFloat = 0.01
    """Largest sum of all forces."""
    minimum_distance_angstrom: PositiveFloat = 1.2
    """No two atoms are closer."""
    min_gap_eV: NonNegativeFloat = 0.3
    """A smaller band gap is flagged: carved cells can be metallic."""
    max_entropy_eV_per_atom: NonNegativeFloat = 1e-3
    """A larger entropy term of the smearing is flagged."""


class LabelsConfig(Section):
    """Energies, forces and stresses of structures."""

    backend: BackendName = "tblite"
    """The method."""
    protocol: ProtocolName = "moderate"
    """Set of numerical settings; each can be overridden in the backend's own section."""
    store: FolderPath | None = None
    """Folder of finished labels, shared by campaigns: a label is paid once. null: the campaign's own."""
    imports: tuple[InputFile, ...] = Field(default=(), alias="import")
    """Files of ready labels (extxyz with REF_energy, REF_forces, REF_stress and level_of_theory)."""
    structures_per_job: PositiveInt | None = None
    """How many structures one job labels; null: 1 for density functional theory, more for cheap backends."""
    max_failed_fraction: Fraction = 0.1
    """If more of a set fails, the campaign stops and shows which and why."""
    gates: GatesConfig = GatesConfig()
    """What a finished label must pass to be used."""
    mtp: MtpConfig = MtpConfig()
    """Given moment tensor potentials as teachers."""
    tblite: TbliteConfig = TbliteConfig()
    """GFN-xTB."""
    gpaw: GpawConfig = GpawConfig()
    """PBE by GPAW."""
    sevennet: SevennetConfig = SevennetConfig()
    """A foundation model of SevenNet."""
    cp2k: Cp2kConfig = Cp2kConfig()
    """PBE by CP2K."""
    espresso: EspressoConfig = EspressoConfig()
    """PBE by Quantum ESPRESSO."""
    vasp: VaspConfig = VaspConfig()
    """PBE by VASP."""

    @model_validator(mode="after")
    def _backend_has_its_files(self) -> Self:
        if self.backend == "mtp" and not self.mtp.potentials:
            raise ValueError("backend 'mtp' needs mtp.potentials, a file for each chemical system, such as LiPSCl")
        if self.backend == "espresso" and self.espresso.pseudopotentials is None:
            raise ValueError("backend 'espresso' needs espresso.pseudopotentials, a folder of UPF files")
        if self.backend == "vasp" and self.vasp.potentials is None:
            raise ValueError("backend 'vasp' needs vasp.potentials, the folder of your licensed PAW potentials")
        if self.backend == "vasp" and not self.vasp.version:
            raise ValueError("backend 'vasp' needs vasp.version, such as 6.4.3: labels are kept apart by it")
        return self

    @property
    def chunk_size(self) -> int:
        """How many structures one job labels."""
        return self.structures_per_job or CHEAP_STRUCTURES_PER_JOB.get(self.backend, 1)

    def labelling(self, elements: AbstractSet[str]) -> dict[str, Any]:
        """The part of the settings that decides the labels of structures of these elements, as JSON holds it."""
        content = self.model_dump(mode="json", include={"backend", "protocol", "gates", self.backend})
        if self.backend == "mtp" and (system := self.mtp.system_of(elements)) is not None:
            content["mtp"]["potentials"] = {system: content["mtp"]["potentials"][system]}
        return content

    def refusal(self, elements: AbstractSet[str]) -> str | None:
        """Why the backend is unfit for these elements, as far as is known without trying; None if it may be fit."""
        if self.backend == "tblite":
            return _tblite_refusal(self.tblite.method, elements)
        if self.backend == "mtp" and self.mtp.system_of(elements) is None:
            known, asked = ", ".join(self.mtp.potentials), ", ".join(sorted(elements))
            return f"mtp.potentials has files for {known} only, not for {asked}"
        return None


def _tblite_refusal(method: str, elements: AbstractSet[str]) -> str | None:
    """Measured with tblite 0.8.0 on lightly rattled periodic cells of argyrodites."""
    if method == "GFN1-xTB" and (heavy := sorted(elements & {"Br", "I"})):
        return (
            f"GFN1-xTB is broken for periodic cells with {' and '.join(heavy)}: forces of 150 eV/angstrom and "
            "pressures of -30 GPa on a lightly rattled cell; use labels.backend gpaw or sevennet"
        )
    if method == "GFN2-xTB" and "Cl" in elements:
        return "GFN2-xTB does not converge for periodic cells with Cl; use labels.tblite.method GFN1-xTB, or gpaw"
    return None
