"""Chemical formulae with exact amounts, charges, and the order of elements."""

import re
from collections.abc import Mapping
from fractions import Fraction

from ase.data import atomic_numbers

type Composition = dict[str, Fraction]

HALOGENS = ("F", "Cl", "Br", "I")
OXIDATION_STATES = (
    dict.fromkeys(("Li", "Na", "K", "Rb", "Cs", "Ag", "Cu"), 1)
    | dict.fromkeys(("Mg", "Ca", "Sr", "Ba", "Zn"), 2)
    | dict.fromkeys(("Al", "Ga", "In", "Y", "La", "Sc", "B"), 3)
    | dict.fromkeys(("Si", "Ge", "Sn", "Ti", "Zr", "Hf"), 4)
    | dict.fromkeys(("P", "As", "Sb", "Nb", "Ta"), 5)
    | dict.fromkeys(("O", "S", "Se", "Te"), -2)
    | dict.fromkeys(HALOGENS, -1)
)
"""Usual oxidation states of the elements of solid electrolytes."""
TERM = re.compile(r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+)?")


def parse_formula(formula: str) -> Composition:
    """Exact amounts of a formula such as ``Li6PS5Cl`` or ``Li5.5PS4.5Cl1.5``, in its order.

    Raises:
        ValueError: not a formula, an unknown element, an element given twice, or an amount of zero.
    """
    if not formula or TERM.sub("", formula):
        raise ValueError(f"'{formula}' is not a formula; write elements and amounts only, such as Li6PS5Cl0.5Br0.5")
    amounts: Composition = {}
    for element, amount in TERM.findall(formula):
        if element not in atomic_numbers or element == "X":
            raise ValueError(f"'{formula}' names '{element}', which is not an element")
        if element in amounts:
            raise ValueError(f"'{formula}' names {element} twice; write its whole amount once")
        amounts[element] = Fraction(amount or 1)
    if zero := [element for element, amount in amounts.items() if amount == 0]:
        raise ValueError(f"'{formula}' holds no {zero[0]}; leave it out")
    return amounts


def format_formula(amounts: Mapping[str, Fraction | int]) -> str:
    """A formula of amounts, in their order."""
    return "".join(f"{element}{'' if amount == 1 else f'{float(amount):g}'}" for element, amount in amounts.items())


def charge(amounts: Mapping[str, Fraction | int], states: Mapping[str, int]) -> Fraction:
    """Sum of the oxidation states.

    Raises:
        ValueError: an element has none.
    """
    unknown = [element for element in amounts if element not in states]
    if unknown:
        raise ValueError(
            f"{unknown[0]} has no usual oxidation state; give it, such as oxidation_states: {{{unknown[0]}: 3}}"
        )
    return sum((Fraction(amount) * states[element] for element, amount in amounts.items()), Fraction(0))


def element_order(elements: Mapping[str, object], mobile: str, states: Mapping[str, int]) -> list[str]:
    """Elements in the order of a potential's species, such as Li, P, S, Cl, Br, I.

    The mobile ion comes first, then cations by falling and anions by rising oxidation state; equals by atomic number.
    """

    def key(element: str) -> tuple[bool, bool, int, int]:
        state = states[element]
        return element != mobile, state < 0, state if state < 0 else -state, atomic_numbers[element]

    return sorted(elements, key=key)
