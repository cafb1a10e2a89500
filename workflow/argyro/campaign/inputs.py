"""What a campaign needs from outside, looked at before any job starts: better now than in a queue."""

from importlib.util import find_spec
from pathlib import Path

import mtpcore
from argyro.common.errors import ArgyroError, ConfigError, MissingDependencyError
from argyro.config.composition import parse_formula
from argyro.config.materials import Material
from argyro.config.model import Config
from argyro.config.structures import StructuresConfig
from argyro.continuum.pairs import read_pairs, read_samples
from argyro.labels.backends import level_of_protocol
from argyro.labels.collect import read_labelled, require_one_level
from argyro.structures import cif

PACKAGES = {"gpaw": ("gpaw", "dft"), "sevennet": ("sevenn", "teacher")}
"""Package of a backend, and the extra it comes with. Programs are not looked for: clusters have them in jobs only."""


def check_inputs(config: Config, *, labels: bool = True) -> None:
    """Read all files that a configuration names, and see that labels fit together and the backend's package is here.

    Args:
        config: Of the campaign.
        labels: Whether it makes labels; without, the backend's package is not asked for.

    Raises:
        ConfigError: a file cannot be used, or labels cannot be fitted together; the message names the key and what is
            wrong.
        MissingDependencyError: the package is not installed; the message says how to get it.
    """
    if config.learning.mode != "given":
        _check_protocols(config)
    _check_package(config.labels.backend if labels else "")
    for material in config.materials:
        if material.cif is not None:
            _check_cif(material, material.cif, config.structures)
    for name in ("diffusivity", "diffusivity_samples"):
        if (path := getattr(config.continuum, name)) is not None:
            _check_pairs(name, path)
    for path in config.labels.imports:
        _check_labels(path)
    if config.structures.seeds.kind == "none":
        _check_systems(config)
    if config.labels.backend == "mtp":
        for system, path in config.labels.mtp.potentials.items():
            _check_teacher(system, path)


def _check_package(backend: str) -> None:
    package, extra = PACKAGES.get(backend, ("", ""))
    if package and find_spec(package) is None:
        raise MissingDependencyError(
            f"labels.backend {backend} needs the package {package}, which is not installed; run: scripts/run --with "
            f"{extra}"
        )


def _check_protocols(config: Config) -> None:
    """See that the labels of all levels can be fitted together with those of the seeds, before any is paid."""
    labels = config.labels
    of_seeds = level_of_protocol(labels)
    for rung in config.learning.ladder:
        protocol = rung.label_protocol or labels.protocol
        own = level_of_protocol(labels.model_copy(update={"protocol": protocol}))
        if own != of_seeds:
            raise ConfigError(
                f"learning.ladder: level {rung.level} has label_protocol {protocol}, which for labels.backend "
                f"{labels.backend} is {own}; the seeds, by labels.protocol {labels.protocol}, are {of_seeds}, and such "
                f"labels cannot be fitted together: leave label_protocol out, or set what differs (cutoff, k-points) "
                f"in labels.{labels.backend} for both"
            )


def _check_cif(material: Material, path: Path, structures: StructuresConfig) -> None:
    exclusion = structures.limits.between(material.mobile, material.mobile)
    for section, supercell in (("bulk", structures.bulk.supercell), ("seeds", structures.seeds.supercell)):
        try:
            cif.sublattices(material, path, supercell, exclusion)
        except ArgyroError as error:
            where = f"materials: {material.id} in structures.{section}.supercell {list(supercell)}"
            raise ConfigError(f"{where}: {error}") from None


def _check_pairs(name: str, path: Path) -> None:
    try:
        read_pairs(path) if name == "diffusivity" else read_samples(path)
    except ArgyroError as error:
        raise ConfigError(f"continuum.{name}: {error}") from None


def _check_labels(path: Path) -> None:
    try:
        require_one_level(read_labelled(path))
    except ArgyroError as error:
        raise ConfigError(f"labels.import: {error}") from None


def _check_systems(config: Config) -> None:
    """Without seeds, ready labels are all that the potential of a chemical system can be fitted to."""
    labelled = {
        frozenset(atoms.get_chemical_symbols()) for path in config.labels.imports for atoms in read_labelled(path)
    }
    for system, elements in {m.chemical_system: frozenset(m.composition) for m in config.materials}.items():
        if elements not in labelled:
            raise ConfigError(
                f"structures.seeds.kind: none, and no structure of labels.import has the elements of {system}; give "
                "labels of every chemical system, or choose rattled or md"
            )


def _check_teacher(system: str, path: Path) -> None:
    try:
        count = mtpcore.read_potential(path).species_count
    except (mtpcore.MtpcoreError, ValueError) as error:
        raise ConfigError(f"labels.mtp.potentials: {system}: {error}") from None
    if count != len(parse_formula(system)):
        raise ConfigError(
            f"labels.mtp.potentials: {system} names {len(parse_formula(system))} elements, and {path} has {count} "
            "species; name them all, in the order of the file"
        )
