"""Who explores what in a round."""

from collections.abc import Mapping
from dataclasses import dataclass

from argyro.config.learning import Rung


@dataclass(frozen=True)
class Sampler:
    """One run of molecular dynamics that looks for what the potential does not know.

    Attributes:
        number: In its round.
        structure: Name of the structure it starts from.
        material: Name of its material.
        temperature: K.
    """

    number: int
    structure: str
    material: str
    temperature: float


def samplers(rung: Rung, structures: Mapping[str, str]) -> list[Sampler]:
    """All samplers of a round.

    Args:
        rung: The level.
        structures: Names of structures of the chemical system, and of their materials.
    """
    chosen = [
        (structure, temperature)
        for _ in range(rung.samplers)
        for structure in rung.chosen(structures)
        for temperature in rung.temperatures(structure)
    ]
    return [
        Sampler(number, structure, structures[structure], temperature)
        for number, (structure, temperature) in enumerate(chosen)
    ]
