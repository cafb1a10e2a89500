"""Settings of the stage `figures`."""

from typing import Literal

from pydantic import Field

from .base import PositiveInt, Section


class FiguresConfig(Section):
    """Figures, each as PDF, PNG and the CSV of its data."""

    tables: Literal["computed", "shipped"] = "computed"
    """Draw what this campaign computes or, without a simulation, a quickstart's tables that ship with the project."""
    published: bool = True
    """Show published values beside those of the campaign."""
    experiments: bool = True
    """Show experimental values beside those of the campaign."""
    modes: bool = True
    """Show beside a campaign's learning what local and global learning needed for the same bicrystal."""
    dpi: PositiveInt = Field(default=200)
    """Resolution of the PNG files."""
