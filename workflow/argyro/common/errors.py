"""Typed errors. Each message says what is wrong, what is allowed and what to do next."""


class ArgyroError(Exception):
    """Base of all errors that are the user's to mend: shown as a message, without a traceback."""


class ConfigError(ArgyroError):
    """The configuration is wrong; the message names file, key path, value and what is allowed."""


class FileError(ArgyroError):
    """A file is missing, damaged or not what it should be; the message names it."""


class StructureError(ArgyroError):
    """A structure cannot be built as asked for, or breaks the rules of the chemistry."""


class LabelError(ArgyroError):
    """Structures cannot be labelled as asked for."""


class MissingDependencyError(ArgyroError):
    """An optional program, library or data file is not here; the message says how to get it."""


class DynamicsError(ArgyroError):
    """Molecular dynamics cannot be run as asked for, or broke off."""


class ContinuumError(ArgyroError):
    """An effective diffusivity cannot be computed as asked for."""
