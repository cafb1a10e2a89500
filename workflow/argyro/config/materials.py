"""Materials: what is in them, how the anions are exchanged, and what must stay whole."""

from fractions import Fraction
from functools import cached_property
from itertools import product
from math import ceil, floor, gcd, lcm, prod
from typing import Self

from pydantic import Field, field_validator, model_validator

from .base import InputFile, Name, Percent, PositiveFloat, PositiveInt, Section
from .composition import HALOGENS, OXIDATION_STATES, Composition, charge, element_order, format_formula, parse_formula

FORMULA_UNITS_PER_CELL = 4  # of an argyrodite's cubic cell
LITHIUM_PAIRS = 6  # per formula unit: pairs of 48h sites, each of which holds at most one ion
SULFUR_PER_TETRAHEDRON = 4
LATTICE_CONSTANTS = {"Cl": 9.8614, "Br": 9.9850, "I": 10.1414}
"""Of the cubic cell, angstrom; experiment at 300 K (Kraft et al., J. Am. Chem. Soc. 139, 10909 (2017))."""
EXCHANGE_TOLERANCE_PERCENT = 0.005 + 1e-9  # so that 33.33 means a third, and 84.38 means 84.375
ANION_SITES = 6  # per formula unit: four sulfur atoms around phosphorus, one site 4a and one 4c


class RigidUnit(Section):
    """A group of atoms that stays together, such as PS4."""

    center: str = "P"
    """Element in the middle."""
    ligand: str = "S"
    """Element around it."""
    count: PositiveInt = 4
    """How many ligands each center has."""
    max_bond_angstrom: PositiveFloat = 2.6
    """A ligand within this distance of a center is bound to it."""


class Material(Section):
    """A solid electrolyte at one composition and one degree of disorder."""

    id: Name
    """Name of the material in files and tables."""
    formula: str
    """Formula per formula unit, such as Li6PS5Cl or Li6PS5Cl0.5Br0.5."""
    anion: str
    """The halide, Cl, Br or I; several in the order of their atomic numbers, such as ClBr."""
    exchange_percent: Percent = 0.0
    """How many of the halide sites (4a) hold sulfur, in exchange for halide on free-sulfur sites (4c); percent."""
    cif: InputFile | None = None
    """Crystal structure of a chemistry that is no argyrodite; partially occupied sites are filled by seed."""
    lattice_constant_angstrom: PositiveFloat | None = None
    """Lattice constant of the cubic cell; null: experiment at 300 K, by Vegard's rule between halides."""
    rigid_units: tuple[RigidUnit, ...] = (RigidUnit(),)
    """What must stay whole."""
    mobile: str = "Li"
    """The ion that diffuses."""
    oxidation_states: dict[str, int] = Field(default_factory=dict)
    """Oxidation states of elements that have no usual one, or another."""

    @field_validator("formula")
    @classmethod
    def _is_formula(cls, formula: str) -> str:
        parse_formula(formula)
        return formula

    @cached_property
    def composition(self) -> Composition:
        """Exact amounts per formula unit, in the order of the formula."""
        return parse_formula(self.formula)

    @cached_property
    def states(self) -> dict[str, int]:
        """Oxidation state of every element that has one."""
        return OXIDATION_STATES | self.oxidation_states

    @cached_property
    def elements(self) -> list[str]:
        """Elements in the order of a potential's species."""
        return element_order(self.composition, self.mobile, self.states)

    @property
    def chemical_system(self) -> str:
        """Name of the element set, such as LiPSCl: materials that share it share a potential."""
        return "".join(self.elements)

    @property
    def halides(self) -> list[str]:
        """Halides, by atomic number."""
        return [element for element in HALOGENS if element in self.composition]

    @model_validator(mode="after")
    def _is_neutral(self) -> Self:
        total = charge(self.composition, self.states)
        if total != 0:
            raise ValueError(
                f"{self.formula} has charge {float(total):+g} per formula unit; correct the formula, or set "
                "oxidation_states"
            )
        return self

    @model_validator(mode="after")
    def _names_are_in_the_formula(self) -> Self:
        named = [self.mobile, *(name for unit in self.rigid_units for name in (unit.center, unit.ligand))]
        for element in [*named, *self.oxidation_states]:
            if element not in self.composition:
                raise ValueError(
                    f"{element} is named in the material {self.id}, but is not in its formula {self.formula}; set "
                    "mobile, rigid_units ([] for none) and oxidation_states to what the formula holds"
                )
        halides = "".join(self.halides)
        if not set(parse_formula(self.anion)) <= set(self.composition) or (self.cif is None and self.anion != halides):
            raise ValueError(
                f"anion '{self.anion}' does not fit the formula {self.formula}; expected its halides, '{halides}'"
            )
        return self

    @model_validator(mode="after")
    def _has_a_structure(self) -> Self:
        if self.cif is not None:
            if self.exchange_percent != 0:
                raise ValueError(
                    "exchange_percent belongs to argyrodites; with a cif its occupancies say who sits where"
                )
            if self.lattice_constant_angstrom is not None:
                raise ValueError("lattice_constant_angstrom belongs to argyrodites; a cif has its own cell")
            return self
        if not self._is_argyrodite():
            raise ValueError(
                f"{self.formula} is no argyrodite such as Li6PS5Cl, Li6PS5Cl0.5Br0.5 or Li5.5PS4.5Cl1.5; correct it, "
                "or give its crystal structure as cif"
            )
        if self.exchange_percent > 100 * self.free_sulfur_amount:
            raise ValueError(
                f"exchange_percent {self.exchange_percent:g} needs more free sulfur than {self.formula} has; at most "
                f"{float(100 * self.free_sulfur_amount):g}"
            )
        return self

    def _is_argyrodite(self) -> bool:
        """Whether this is Li(7-h) P S(6-h) X(h), with one to two halides Cl, Br, I per formula unit.

        With fewer than one, sulfur on halide sites would be there without exchange; with more than two, no tetrahedron
        would be whole.
        """
        amounts = self.composition
        return (
            set(amounts) == {"Li", "P", "S", *self.halides}
            and set(self.halides) <= set(LATTICE_CONSTANTS)
            and amounts["P"] == 1
            and 1 <= self.halide_amount <= ANION_SITES - SULFUR_PER_TETRAHEDRON
            and amounts["S"] + self.halide_amount == ANION_SITES
            and amounts["Li"] + self.halide_amount == LITHIUM_PAIRS + 1
            and self.mobile == "Li"
        )

    @property
    def halide_amount(self) -> Fraction:
        """Halides per formula unit."""
        return sum((self.composition[element] for element in self.halides), Fraction(0))

    @property
    def free_sulfur_amount(self) -> Fraction:
        """Sulfur outside the tetrahedra, per formula unit of an argyrodite."""
        return self.composition["S"] - SULFUR_PER_TETRAHEDRON

    @property
    def cubic_lattice_constant(self) -> float:
        """Lattice constant of an argyrodite, angstrom: the given one, else Vegard's rule between experiments."""
        if self.lattice_constant_angstrom is not None:
            return self.lattice_constant_angstrom
        weighted = (LATTICE_CONSTANTS[halide] * float(self.composition[halide]) for halide in self.halides)
        return sum(weighted) / float(self.halide_amount)

    def check_cell(self, supercell: tuple[int, int, int]) -> None:
        """Make sure an argyrodite's composition and exchange are possible in a supercell of the cubic cell.

        Raises:
            ValueError: they are not; the message names the nearest that are.
        """
        if self.cif is None:  # else known only once the file is read
            self._check_composition(supercell)
            self.exchanged_sites(supercell)

    def exchanged_sites(self, supercell: tuple[int, int, int]) -> int:
        """How many halide sites of an argyrodite hold sulfur.

        Raises:
            ValueError: no whole number; the message names the nearest possible exchanges.
        """
        sites = _formula_units(supercell)
        wanted = self.exchange_percent / 100 * sites
        count = round(wanted)
        if abs(wanted - count) > EXCHANGE_TOLERANCE_PERCENT / 100 * sites:
            nearest = " and ".join(f"{100 * k / sites:.8g}" for k in (floor(wanted), ceil(wanted)))
            raise ValueError(
                f"exchange_percent {self.exchange_percent:g} of {self.id} is not possible in a {_shape(supercell)} "
                f"cell with its {sites} halide sites; the nearest possible are {nearest}; take one, or "
                "a larger supercell"
            )
        return count

    def _check_composition(self, supercell: tuple[int, int, int]) -> None:
        units = _formula_units(supercell)
        if all((amount * units).denominator == 1 for amount in self.composition.values()):
            return
        cells = lcm(*(amount.denominator for amount in self.composition.values()))
        cells //= gcd(cells, FORMULA_UNITS_PER_CELL)
        raise ValueError(
            f"{self.formula} is not possible in a {_shape(supercell)} cell with its {units} formula units; the nearest "
            f"possible are {' and '.join(self._possible_formulas(units))}; take one, or a supercell of a multiple of "
            f"{cells} cubic cells"
        )

    def _possible_formulas(self, units: int) -> list[str]:
        """The two argyrodites nearest in halide content, of as many halides, that make up whole formula units."""
        wanted = [self.composition[halide] * units for halide in self.halides]
        choices = product(*(sorted({floor(amount), ceil(amount)}) for amount in wanted))
        whole = [counts for counts in choices if all(counts) and units <= sum(counts) <= 2 * units]

        def distance(counts: tuple[int, ...]) -> Fraction:
            differences = [count - amount for count, amount in zip(counts, wanted, strict=True)]
            # A change of the whole halide content changes lithium and sulfur as well
            return sum(map(abs, differences), Fraction(0)) + 2 * abs(sum(differences, Fraction(0)))

        return [self._formula_of(counts, units) for counts in sorted(whole, key=distance)[:2]]

    def _formula_of(self, halide_counts: tuple[int, ...], units: int) -> str:
        """Formula of the argyrodite with these halides in a number of formula units."""
        amounts = {h: Fraction(count, units) for h, count in zip(self.halides, halide_counts, strict=True)}
        halide_amount = sum(amounts.values(), Fraction(0))
        lithium = LITHIUM_PAIRS + 1 - halide_amount
        return format_formula({"Li": lithium, "P": Fraction(1), "S": ANION_SITES - halide_amount} | amounts)


def _formula_units(supercell: tuple[int, int, int]) -> int:
    return FORMULA_UNITS_PER_CELL * prod(supercell)


def _shape(supercell: tuple[int, int, int]) -> str:
    return "x".join(map(str, supercell))
