"""What all sections of the configuration have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """One mapping of the configuration: immutable; unknown keys, NaN and infinity are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, use_attribute_docstrings=True
    )


type Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=80)]
"""A name that becomes part of file names."""
type Fraction = Annotated[float, Field(ge=0, le=1)]
type Percent = Annotated[float, Field(ge=0, le=100)]
type PositiveFloat = Annotated[float, Field(gt=0)]
type PositiveInt = Annotated[int, Field(gt=0)]
