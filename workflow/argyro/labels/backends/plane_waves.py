"""Numerical settings that all plane-wave codes have in common."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from argyro.config.labels import LabelsConfig, PlaneWaveConfig, ProtocolName


@dataclass(frozen=True)
class PlaneWaves:
    """Settings of a single point with PBE.

    Attributes:
        cutoff_eV: Kinetic-energy cutoff.
        kpoints: Mesh, Gamma included.
        smearing_eV: Width of the smearing.
        energy_tolerance: Of self-consistency, in the unit and sense of the code.
    """

    cutoff_eV: float
    kpoints: tuple[int, int, int]
    smearing_eV: float
    energy_tolerance: float

    @classmethod
    def chosen(cls, config: LabelsConfig, own: PlaneWaveConfig, protocols: Mapping[ProtocolName, Self]) -> Self:
        """The protocol's settings, with what the backend's own section overrides."""
        given = {name: value for name in PlaneWaveConfig.model_fields if (value := getattr(own, name)) is not None}
        return replace(protocols[config.protocol], **given)

    @property
    def mesh(self) -> str:
        """The mesh as names show it."""
        return "x".join(map(str, self.kpoints))

    def settings(self, backend: str) -> dict[str, Any]:
        """All that decides the numbers, as JSON holds it."""
        return {"backend": backend, "xc": "PBE"} | asdict(self) | {"kpoints": list(self.kpoints)}
