"""Settings of the stage `transport`."""

from typing import Literal

from pydantic import Field

from .base import PositiveFloat, PositiveInt, Section

type Extra = Literal["rdf", "density", "extxyz"]


class TransportConfig(Section):
    """Diffusivities, conductivities and Arrhenius parameters from runs."""

    hop_length_angstrom: PositiveFloat = 2.5
    """No straight line through mean squared displacements begins before they are its square."""
    boundary_width_angstrom: PositiveFloat = 25.0
    """Width of boundaries whose own diffusivities are measured, where boundaries are at least twice as far apart."""
    mixture_widths_angstrom: tuple[PositiveFloat, ...] = (10.0, 15.0, 20.0, 25.0, 30.0, 35.0)
    """Widths of boundaries whose diffusivity is inferred by the rule of mixtures, for comparison."""
    profile_bin_angstrom: PositiveFloat = 5.0
    """Thickness of the layers of a bicrystal that its diffusivity profile is resolved into."""
    extrapolation_K: PositiveFloat = 300.0
    """Temperature that Arrhenius fits are extrapolated to."""
    published_protocol: bool = False
    """Also the diffusivity by the published protocol: a single time origin, the last two fifths of a run."""
    kinisi: bool = False
    """Also the diffusivity by kinisi, of runs that diffuse; all positions of their ions are in memory for it."""
    extras: tuple[Extra, ...] = ()
    """What else is written of every run: rdf, a table of radial distribution functions; density, a cube file of the
    mobile ions; extxyz, the trajectory of all atoms as text."""
    extxyz_frames: PositiveInt = Field(default=200)
    """Most frames of the latter, evenly spread."""
