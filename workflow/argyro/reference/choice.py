"""Which structures are labelled by PBE as well."""

from collections.abc import Sequence

from ase import Atoms

from argyro.common.errors import StructureError
from argyro.common.randomness import generator_for
from argyro.config.reference import PbeConfig


def choose(structures: Sequence[Atoms], settings: PbeConfig, seed: int) -> list[Atoms]:
    """Small structures: a third hot, up to a third carved, the rest bulk, in turn, so that any first part is mixed.

    Args:
        structures: Of the large label set, with ``class`` in ``info``.
        settings: How many, and how large they may be.
        seed: Of the choice.

    Raises:
        StructureError: there are too few.
    """
    small = [atoms for atoms in structures if len(atoms) <= settings.max_atoms]
    rng = generator_for(seed, "pbe")
    pools = {name: [a for a in small if a.info["class"] == name] for name in ("carved", "hot", "bulk")}
    queues = {name: [pool[k] for k in rng.permutation(len(pool))] for name, pool in pools.items()}
    chosen: list[Atoms] = []
    while len(chosen) < settings.structures and any(queues.values()):
        chosen += [queue.pop() for queue in queues.values() if queue]
    if len(chosen) < settings.structures:
        raise StructureError(
            f"only {len(chosen)} of {settings.structures} structures of at most {settings.max_atoms} atoms; raise "
            "reference.pbe.max_atoms, or ask for fewer"
        )
    return chosen[: settings.structures]
