"""Typed errors and warnings of the package: all derive from :class:`MtpcoreError`."""

from pathlib import Path


class MtpcoreError(Exception):
    """Base class of every error this package raises on purpose."""


class FormatError(MtpcoreError, ValueError):
    """A file does not follow its format.

    Attributes:
        path: The file.
        line: Number of the offending line, counted from 1 (0: the file as a whole).
        expected: What the format asks for at that place.
        found: What the file has there.
    """

    def __init__(self, path: str | Path, line: int, expected: str, found: str) -> None:
        """Keep the parts and build the message '<path>:<line>: expected ..., found ...'."""
        super().__init__(path, line, expected, found)
        self.path = Path(path)
        self.line = line
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        """The message with file, line, expectation and finding."""
        return f"{self.path}:{self.line}: expected {self.expected}, found {self.found}"


class CfgFormatError(FormatError):
    """A configuration file (``.cfg``) is truncated, mistyped or inconsistent."""


class PotentialFormatError(FormatError):
    """A potential file (``.mtp`` or ``.almtp``) is truncated, mistyped or inconsistent."""


class LevelError(MtpcoreError, ValueError):
    """No contraction tables exist for the level asked for."""


class UnknownSpeciesError(MtpcoreError, ValueError):
    """A structure holds a species the potential or the species list does not know."""


class InvalidStructureError(MtpcoreError, ValueError):
    """A structure cannot be evaluated: wrong shapes, non-finite numbers or a singular cell."""


class CloseContactWarning(UserWarning):
    """Two atoms are closer than the inner cutoff, where the radial functions grow without bound."""


class TrainingSetError(MtpcoreError, ValueError):
    """Labels that cannot be fitted to: missing, not finite, or of different levels of theory."""


class CheckpointError(MtpcoreError, ValueError):
    """A checkpoint belongs to another fit or is damaged."""


class ActiveSetError(MtpcoreError, ValueError):
    """An active set cannot be used: none is there, or it belongs to other coefficients or another mode."""
