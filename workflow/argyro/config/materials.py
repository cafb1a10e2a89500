"""Materials: what is in them, how the anions are exchanged, and what must stay whole."""

from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import Self

from pydantic import Field, field_validator, model_validator

from .base import InputFile, Name, Percent, PositiveFloat, PositiveInt, Section
from .composition import HALOGENS, OXIDATION_STATES, Composition, charge, element_order, format_formula, parse_formula

FORMULA_UNITS_PER_CELL = 4  # of an argyrodite's cubic cell
LITHIUM_PAIRS = 6  # per formula unit: pairs of 48h sites, each of which holds at most one ion
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
                    f"{element} is named in the material {self.id}, and its formula {self.formula} has none"
                )
        expected = "".join(self.halides) if self.cif is None else self.anion
        if self.anion != expected or any(element not in self.composition for element in parse_formula(self.anion)):
            raise ValueError(f"anion '{self.anion}' does not fit the formula {self.formula}; expected '{expected}'")
        return self

    @model_validator(mode="after")
    def _has_a_structure(self) -> Self:
        if self.cif is not None:
            if self.exchange_percent != 0:
                raise ValueError(
                    "exchange_percent belongs to argyrodites; with a cif its occupancies say who sits where"
                )
            return self
        amounts = self.composition
        anions = amounts.get("S", Fraction(0)) + self.halide_amount
        fits = set(amounts) == {"Li", "P", "S", *self.halides} and amounts["P"] == 1 and anions == ANION_SITES
        if not fits or amounts["S"] < ANION_SITES - 2 or amounts["Li"] > LITHIUM_PAIRS or not self.halides:
            raise ValueError(f"{self.formula} is no argyrodite such as Li6PS5Cl; give its crystal structure as cif")
        if Fraction(str(self.exchange_percent)) / 100 > self.free_sulfur_amount:
            raise ValueError(
                f"exchange_percent {self.exchange_percent:g} needs more free sulfur than {self.formula} has; at most "
                f"{float(100 * self.free_sulfur_amount):g}"
            )
        return self

    @property
    def halide_amount(self) -> Fraction:
        """Halides per formula unit."""
        return sum((self.composition[element] for element in self.halides), Fraction(0))

    @property
    def free_sulfur_amount(self) -> Fraction:
        """Sulfur outside the tetrahedra, per formula unit of an argyrodite."""
        return self.composition["S"] - (ANION_SITES - 2)

    def check_cell(self, supercell: tuple[int, int, int]) -> None:
        """Make sure an argyrodite's composition and exchange are possible in a supercell of the cubic cell.

        Raises:
            ValueError: they are not; the message names the nearest that are.
        """
        if self.cif is not None:
            return  # known only once the file is read
        units = FORMULA_UNITS_PER_CELL * supercell[0] * supercell[1] * supercell[2]
        shape = "x".join(map(str, supercell))
        if any((amount * units).denominator != 1 for amount in self.composition.values()):
            multiple = lcm(*(amount.denominator for amount in self.composition.values()))
            raise ValueError(
                f"{self.formula} is not possible in a {shape} cell with its {units} formula units; the number of "
                f"formula units ({FORMULA_UNITS_PER_CELL} per cubic cell) must be a multiple of {multiple}"
            )
        if (Fraction(str(self.exchange_percent)) / 100 * units).denominator != 1:
            below = int(self.exchange_percent / 100 * units)
            nearest = " and ".join(f"{100 * count / units:.10g}" for count in (below, below + 1))
            raise ValueError(
                f"exchange_percent {self.exchange_percent:g} of {self.id} is not possible in a {shape} cell with its "
                f"{units} halide sites; the nearest possible values are {nearest}"
            )

    def describe(self) -> str:
        """Formula with the elements in their order, and the exchange."""
        ordered = {element: self.composition[element] for element in self.elements}
        return f"{format_formula(ordered)}, {self.exchange_percent:g} % exchange"
