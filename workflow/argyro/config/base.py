"""What all sections of the configuration have in common."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo


class Section(BaseModel):
    """One mapping of the configuration: immutable; unknown keys, NaN and infinity are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
        validate_by_name=True,
        validate_by_alias=True,
    )


def _from_checkout(path: Path, info: ValidationInfo) -> Path:
    """Take relative paths from the checkout, whatever folder a command is called in."""
    root: Path = (info.context or {}).get("root", Path.cwd())
    return root / path.expanduser()


def _existing_file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}; relative paths are taken from the checkout")
    return path


type Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=80)]
"""A name that becomes part of file names."""
type Fraction = Annotated[float, Field(ge=0, le=1)]
type Percent = Annotated[float, Field(ge=0, le=100)]
type NonNegativeFloat = Annotated[float, Field(ge=0)]
type PositiveFloat = Annotated[float, Field(gt=0)]
type PositiveInt = Annotated[int, Field(gt=0)]
type FolderPath = Annotated[Path, AfterValidator(_from_checkout)]
type InputFile = Annotated[Path, AfterValidator(_from_checkout), AfterValidator(_existing_file)]
