"""The state of a selection: an active set in the making, and the configurations its rows come from."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from .cfg import format_cfg, parse_cfg
from .configuration import Configuration
from .errors import ActiveSetError
from .maxvol import DEFAULT_THRESHOLD, START, MaxVol
from .potential import ActiveSet, Potential
from .rows import Mode, RowSource, start_rows, structure_of

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int32]

EQUATIONS = "selected_eqn_inds"  # the feature in which MLIP-3 lists the selected rows of a configuration
CHUNK = 1024  # neighbourhoods whose coefficients are held at a time
POOL = 5  # rows among which chains of exchanges are sought, in units of the number of parameters
TRIALS = 2000  # chains of exchanges to try at a time
DEEPENINGS = 4
LARGEST_MISMATCH = 1e-6  # of a stored row and the same row computed anew, relative


@dataclass
class Selection:
    """An active set in the making.

    Attributes:
        source: Gives rows.
        state: The rows chosen; links are (place in the library, number of the equation).
        library: Configurations rows have come from or may come from; each only once.
    """

    source: RowSource
    state: MaxVol
    library: list[Configuration] = field(default_factory=list)
    _places: dict[bytes, int] = field(default_factory=dict, repr=False)

    @classmethod
    def start(cls, source: RowSource, configurations: Sequence[Configuration]) -> "Selection":
        """Nothing chosen yet.

        Args:
            source: Gives rows.
            configurations: Set the scale of the start rows.
        """
        structures = (structure_of(configuration, None) for configuration in configurations)
        return cls(source, MaxVol.from_start(start_rows(source, structures)))

    @classmethod
    def resume(cls, potential: Potential, threads: int | None = None) -> "Selection":
        """The selection a potential's active set is the result of.

        Raises:
            ActiveSetError: there is none, it chose among forces or stresses too, its links lead nowhere, or its rows
                are not those of the potential's coefficients.
            CfgFormatError: the configurations are damaged.
        """
        active_set = potential.active_set
        if active_set is None:
            raise ActiveSetError("the potential holds no active set: select one first")
        source = RowSource(potential, mode_of(active_set), active_set.weight_scaling, threads)
        links = np.stack([active_set.configuration_index, active_set.equation_index], axis=1)
        inverse = np.ascontiguousarray(active_set.inverse_transposed.T)
        selection = cls(source, MaxVol(active_set.matrix.copy(), inverse, np.full_like(links, START)))
        places = [selection.place(c) for c in parse_cfg(active_set.configurations, "active set")]
        for row in np.flatnonzero(links[:, 0] != START):
            index, equation = links[row].tolist()
            if not 0 <= index < len(places):
                raise ActiveSetError(f"row {row} of the active set is from configuration {index} of {len(places)}")
            selection.state.links[row] = (places[index], equation)
        selection.check_rows()
        return selection

    def place(self, configuration: Configuration) -> int:
        """Place of a configuration in the library, which takes it up where it is new."""
        cell = b"open" if configuration.cell is None else configuration.cell.tobytes()
        key = configuration.types.tobytes() + configuration.positions.tobytes() + cell
        place = self._places.setdefault(key, len(self.library))
        if place == len(self.library):
            self.library.append(configuration)
        return place

    def copy(self) -> "Selection":
        """A selection that goes its own way from here."""
        return Selection(self.source, deepcopy(self.state), list(self.library), dict(self._places))

    def dominate(self, configurations: Sequence[Configuration], threshold: float = DEFAULT_THRESHOLD) -> int:
        """Swap rows of the configurations in until none has a grade above the threshold.

        Args:
            configurations: The candidates; their rows are made a chunk at a time, as often as needed.
            threshold: Smallest gain of volume worth a swap.

        Returns:
            Number of swaps made.
        """
        before = self.state.swaps
        places = list(dict.fromkeys(self.place(configuration) for configuration in configurations))
        for _ in range(DEEPENINGS):
            if not self._sweep(places, threshold) or not self._deepen(places, threshold):
                break
        else:
            self._sweep(places, threshold)
        if self.state.swaps > before:
            self.state.refactorize()
        return self.state.swaps - before

    def rescale(self, configurations: Sequence[Configuration]) -> None:
        """Give the start rows that are left the size that a selection among these configurations would start from."""
        structures = (structure_of(configuration, None) for configuration in configurations)
        left = ~self.state.is_real
        self.state.matrix[left] = start_rows(self.source, structures)[left]
        self.state.refactorize()

    def active_set(self) -> ActiveSet:
        """The active set in the form files hold it, with only the configurations that have a row in it."""
        used = sorted({int(place) for place in self.state.links[:, 0]} - {START})
        index = {START: START} | {place: number for number, place in enumerate(used)}
        result = ActiveSet()
        result.energy_weight = float(self.source.mode == "configuration")
        result.site_energy_weight = float(self.source.mode == "neighborhood")
        result.weight_scaling = self.source.weight_scaling
        result.matrix = np.ascontiguousarray(self.state.matrix)
        result.inverse_transposed = np.ascontiguousarray(self.state.inverse.T)
        result.configuration_index = np.array([index[place] for place in self.state.links[:, 0]], dtype=np.int32)
        result.equation_index = np.ascontiguousarray(self.state.links[:, 1])
        result.configurations = format_cfg(self._marked(place) for place in used)
        return result

    def equations(self, configuration: Configuration) -> list[int]:
        """Numbers of a configuration's equations that are in the active set, ascending."""
        mine = self.state.links[:, 0] == self.place(configuration)
        return sorted(self.state.links[mine, 1].tolist())

    def check_rows(self) -> None:
        """See that the chosen rows are those of the potential's coefficients.

        Raises:
            ActiveSetError: a row differs, or an equation does not exist.
        """
        for place in sorted({int(place) for place in self.state.links[:, 0]} - {START}):
            configuration = self.library[place]
            rows = self.source.rows(structure_of(configuration, None))
            mine = np.flatnonzero(self.state.links[:, 0] == place)
            numbers = self.state.links[mine, 1] - self.source.first_equation(len(configuration.types))
            if numbers.min() < 0 or numbers.max() >= len(rows):
                raise ActiveSetError(f"selected configuration {place} lacks the equations of the active set")
            error = np.abs(rows[numbers] - self.state.matrix[mine]).max(axis=1)
            if (error > LARGEST_MISMATCH * np.abs(rows[numbers]).max(axis=1)).any():
                raise ActiveSetError(
                    "the active set belongs to other coefficients than the potential's: select it anew after a fit"
                )

    def _sweep(self, places: Sequence[int], threshold: float) -> int:
        """Pass over all candidates until a pass makes no swap; the number of swaps."""
        before, made = self.state.swaps, 1
        while made:
            made = 0
            for chunk in self._chunks(places):
                self.source.set_inverse(self.state.inverse)
                candidates = [self._candidates(place, threshold) for place in chunk]
                rows, links = (np.concatenate(parts) for parts in zip(*candidates, strict=True))
                made += self.state.exchange(rows, links, threshold=threshold)
        return self.state.swaps - before

    def _deepen(self, places: Sequence[int], threshold: float) -> int:
        """Seek chains of exchanges among the rows of the highest grades."""
        self.source.set_inverse(self.state.inverse)
        grades = [self.source.grades(structure_of(self.library[place], None)) for place in places]
        size = POOL * len(self.state.matrix)
        joined = np.sort(np.concatenate(grades, axis=0))
        lowest = float(joined[-size]) if len(joined) > size else 0.0
        candidates = [self._candidates(place, lowest, values) for place, values in zip(places, grades, strict=True)]
        rows, links = (np.concatenate(parts) for parts in zip(*candidates, strict=True))
        return self.state.deepen(rows, links, threshold=threshold, trials=TRIALS)

    def _candidates(self, place: int, lowest: float, grades: FloatArray | None = None) -> tuple[FloatArray, IntArray]:
        """Rows of a configuration with grades above the lowest, and their links."""
        structure = structure_of(self.library[place], None)
        values = self.source.grades(structure) if grades is None else grades
        numbers = np.flatnonzero(values > lowest)
        rows = self.source.rows(structure)[numbers] if len(numbers) else np.empty((0, len(self.state.matrix)))
        links = np.empty((len(numbers), 2), dtype=np.int32)
        links[:, 0], links[:, 1] = place, numbers + self.source.first_equation(len(structure[0]))
        return rows, links

    def _chunks(self, places: Sequence[int]) -> Iterator[list[int]]:
        """Places of configurations with about ``CHUNK`` neighbourhoods together."""
        chunk: list[int] = []
        atoms = 0
        for place in places:
            chunk.append(place)
            atoms += len(self.library[place].types) if self.source.mode == "neighborhood" else 1
            if atoms >= CHUNK:
                yield chunk
                chunk, atoms = [], 0
        if chunk:
            yield chunk

    def _marked(self, place: int) -> Configuration:
        """A configuration of the library with the feature that lists its rows in the active set."""
        configuration = self.library[place]
        equations = ",".join(map(str, self.equations(configuration)))
        return replace(configuration, features={**configuration.features, EQUATIONS: equations})


def mode_of(active_set: ActiveSet) -> Mode:
    """What an active set chooses among.

    Raises:
        ActiveSetError: among forces or stresses too.
    """
    weights = (active_set.energy_weight, active_set.force_weight, active_set.stress_weight)
    match (*weights, active_set.site_energy_weight):
        case (0.0, 0.0, 0.0, 1.0):
            return "neighborhood"
        case (1.0, 0.0, 0.0, 0.0):
            return "configuration"
    raise ActiveSetError(
        f"active sets of neighbourhoods or of energies serve, not with weights {weights} of energy, force and stress "
        f"and {active_set.site_energy_weight} of site energies"
    )
