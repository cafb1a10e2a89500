"""Fitting behind one interface: this project's own engine, or MLIP-3's program."""

import logging
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log
from pathlib import Path
from typing import Literal, Protocol

from ase import Atoms

import mtpcore
from argyro.common.errors import ArgyroError, MissingDependencyError
from argyro.common.randomness import seed_for
from argyro.config.learning import FitConfig, LearningConfig, MlipConfig, Mode
from mtpcore.cfg import write_cfg
from mtpcore.configuration import Configuration

from .potential_file import read_potential_file

logger = logging.getLogger(__name__)
TAIL = 2000  # characters of a program's output shown in an error


class FitError(ArgyroError):
    """A potential cannot be fitted as asked for."""


@dataclass(frozen=True)
class FitOutcome:
    """How a fit ended.

    Attributes:
        reason: In a word.
        iterations: How many were made; None if the program does not say.
        loss: At the end; None if the program does not say.
    """

    reason: str
    iterations: int | None
    loss: float | None = None


class Fitter(Protocol):
    """Fits potentials."""

    def fit(
        self, start: mtpcore.Potential, training: Sequence[Atoms], species: Sequence[str], *, seed: int, folder: Path
    ) -> tuple[mtpcore.Potential, FitOutcome]:
        """Fit to labelled structures.

        Args:
            start: Untrained for a cold start, trained for a warm one.
            training: With labels.
            species: Elements in the order of the potential's species.
            seed: Of what is random in a cold start.
            folder: For files that make a fit that was killed go on.

        Raises:
            FitError: the labels cannot be fitted to, or the program failed.
        """
        ...


def open_fitter(settings: LearningConfig, *, first_of_level: bool) -> Fitter:
    """The fitter a configuration asks for.

    Args:
        settings: Of learning.
        first_of_level: Whether the level has not been fitted before.
    """
    own = settings.fit if first_of_level else settings.fit.again
    return MlipFitter(own, settings.mlip) if settings.backend == "mlip" else MtpcoreFitter(own)


def starting_potential(
    settings: FitConfig, species: Sequence[str], level: int, before: mtpcore.Potential | None, seed: int
) -> mtpcore.Potential:
    """Where a fit starts: the potential before, converted to the level, or an untrained one."""
    if before is None:
        return mtpcore.new_potential(
            level,
            len(species),
            min_dist=settings.min_dist_angstrom,
            max_dist=settings.max_dist_angstrom,
            radial_basis_size=settings.radial_basis_size,
        )
    return mtpcore.upconvert(before, level, seed=seed)


def fit_round(  # noqa: PLR0917  what a round has, and where it goes
    settings: LearningConfig,
    species: Sequence[str],
    level: int,
    before: mtpcore.Potential | None,
    training: Sequence[Atoms],
    added: int,
    *,
    first_of_level: bool,
    seed: int,
    folder: Path,
) -> tuple[mtpcore.Potential, FitOutcome]:
    """Fit the potential that a round begins with, from the one before and, where that is due, from a fresh start too.

    A loss has many minima. The first fit finds one that is good for the seeds; later fits follow it, also where, with
    many more labels, others have become far better. The fit with the smaller loss is kept. Higher levels of the ladder
    start from the minimum that the lowest one has found.

    Args:
        settings: Of learning.
        species: Elements in the order of the potential's species.
        level: Of the potential.
        before: The potential that the round before began with; None in the very first one.
        training: With labels.
        added: How many of them the round before added.
        first_of_level: Whether the level has not been fitted before.
        seed: Of what is random in fits.
        folder: For files that make a fit that was killed go on, and one that has ended not be made again: remove it
            when the potential is safe.

    Raises:
        FitError: the labels cannot be fitted to, or the program failed.
    """
    start = starting_potential(settings.fit, species, level, before, seed)
    fitter = open_fitter(settings, first_of_level=first_of_level)
    fitted, outcome = fitter.fit(start, training, species, seed=seed, folder=folder)
    growth = settings.fit.restart_growth if level == settings.levels[0] else None
    if before is None or outcome.loss is None or not passes_power(len(training) - added, len(training), growth):
        return fitted, outcome
    own_seed = seed_for(seed, "restart", len(training))
    start = starting_potential(settings.fit, species, level, None, own_seed)
    fitter = open_fitter(settings, first_of_level=True)
    afresh, other = fitter.fit(start, training, species, seed=own_seed, folder=folder / "afresh")
    logger.info("loss %.5g from the fit before, %s from a fresh start", outcome.loss, other.loss)
    return (afresh, other) if other.loss is not None and other.loss < outcome.loss else (fitted, outcome)


def passes_power(before: int, now: int, base: float | None) -> bool:
    """Whether a number that grew has passed a power of the base; never without a base."""
    return base is not None and floor(log(max(now, 1), base) + 1e-9) > floor(log(max(before, 1), base) + 1e-9)


def with_active_set(
    potential: mtpcore.Potential, training: Sequence[Atoms], species: Sequence[str], mode: Mode
) -> mtpcore.Potential:
    """A potential with the active set of its training data, of environments or, in global mode, of structures."""
    chosen_among: Literal["neighborhood", "configuration"] = "configuration" if mode == "global" else "neighborhood"
    return mtpcore.select(potential, training, mode=chosen_among, species=species, threads=1)


class MtpcoreFitter:
    """See `Fitter`."""

    def __init__(self, settings: FitConfig) -> None:
        self._settings = settings

    def fit(
        self, start: mtpcore.Potential, training: Sequence[Atoms], species: Sequence[str], *, seed: int, folder: Path
    ) -> tuple[mtpcore.Potential, FitOutcome]:
        """See `Fitter`; every segment starts from the checkpoint, which stays there at the end."""
        own = self._settings
        weights = mtpcore.FitWeights(own.energy_weight, own.force_weight_angstrom2, own.stress_weight)
        settings = mtpcore.FitSettings(
            weights=weights,
            max_iterations=own.max_iterations,
            tolerance=own.tolerance,
            seed=seed % 2**32,
            hops=own.hops,
            threads=1,
        )
        configurations = [Configuration.from_atoms(atoms, species) for atoms in training]
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint = folder / "fit.npz"
        reason = "segment"
        while reason == "segment":
            try:
                result = mtpcore.fit(
                    start,
                    configurations,
                    settings=settings,
                    checkpoint=checkpoint,
                    segment_iterations=own.segment_iterations,
                )
            except mtpcore.CheckpointError:
                checkpoint.unlink()  # of another fit: the configuration was changed
                continue
            except mtpcore.MtpcoreError as error:
                raise FitError(f"the training set cannot be fitted to: {error}") from None
            reason = result.reason
        return result.potential, FitOutcome(reason, len(result.history["loss"]), result.loss)


class MlipFitter:
    """See `Fitter`."""

    def __init__(self, settings: FitConfig, program: MlipConfig) -> None:
        self._settings = settings
        self._program = program

    def fit(
        self,
        start: mtpcore.Potential,
        training: Sequence[Atoms],
        species: Sequence[str],
        *,
        seed: int,  # noqa: ARG002  MLIP-3 takes none
        folder: Path,
    ) -> tuple[mtpcore.Potential, FitOutcome]:
        """See `Fitter`."""
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".mlip-", dir=folder) as name:
            scratch = Path(name)
            mtpcore.write_potential(scratch / "start.mtp", start)
            write_cfg(scratch / "train.cfg", [Configuration.from_atoms(atoms, species) for atoms in training])
            self._run(scratch)
            return read_potential_file(scratch / "fitted.almtp"), FitOutcome("mlip", None)

    def command(self) -> list[str]:
        """The command line of a fit."""
        own = self._settings
        return [
            *self._program.command,
            "train",
            "start.mtp",
            "train.cfg",
            "--save_to=fitted.almtp",
            f"--energy_weight={own.energy_weight}",
            f"--force_weight={own.force_weight_angstrom2}",
            f"--stress_weight={own.stress_weight}",
            f"--iteration_limit={own.max_iterations}",
            f"--tolerance={own.tolerance}",
            "--no_mindist_update=true",
            "--al_mode=nbh",
        ]

    def _run(self, scratch: Path) -> None:
        try:
            done = subprocess.run(self.command(), cwd=scratch, capture_output=True, text=True, check=False)  # noqa: S603
        except FileNotFoundError:
            raise MissingDependencyError(
                f"learning.backend mlip needs MLIP-3's program, but there is no '{self._program.command[0]}' on PATH; "
                "install it, set learning.mlip.command, or use learning.backend mtpcore"
            ) from None
        if done.returncode != 0 or not (scratch / "fitted.almtp").exists():
            raise FitError(
                f"{' '.join(self.command())} ended with code {done.returncode}, without a potential; its last words:\n"
                f"{(done.stdout + done.stderr)[-TAIL:]}"
            )
