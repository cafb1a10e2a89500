"""Settings of the stage `figures`."""

from pydantic import Field

from .base import PositiveInt, Section


class FiguresConfig(Section):
    """Figures, each as PDF, PNG and the CSV of its data."""

    published: bool = True
    """Show published values beside those of the campaign."""
    experiments: bool = True
    """Show experimental values beside those of the campaign."""
    dpi: PositiveInt = Field(default=200)
    """Resolution of the PNG files."""
