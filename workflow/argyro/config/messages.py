"""What is wrong with a configuration, in words that name file, key, value and what is allowed."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from .layers import KeyPath, Layer, layer_of

MAX_VALUE_LENGTH = 60  # characters of a wrong value that are shown


def describe(error: ValidationError, model: type[BaseModel], layers: Sequence[Layer]) -> str:
    """All problems of a configuration, a line each."""
    problems = [dict(problem) for problem in error.errors(include_url=False) if not _is_consequence(dict(problem))]
    return "\n".join(_describe_one(problem, model, layers) for problem in problems)


def key_path(path: Iterable[str | int]) -> str:
    """A key path as people write it: ``materials[0].formula``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def _is_consequence(problem: dict[str, Any]) -> bool:
    """Whether a list counts as too short only because its members are wrong, which is said anyway."""
    return bool(problem["type"] == "too_short" and len(problem["input"]) >= problem["ctx"]["min_length"])


def _describe_one(problem: dict[str, Any], model: type[BaseModel], layers: Sequence[Layer]) -> str:
    path = _without_tags(problem["loc"], layers)
    kind = problem["type"]
    if kind == "extra_forbidden":
        text = _unknown_key(path, model)
    elif kind == "missing":
        text = "is missing"
    elif kind in {"value_error", "assertion_error"}:
        text = str(problem["ctx"]["error"])
    else:
        value = repr(problem["input"])
        shown = value if len(value) <= MAX_VALUE_LENGTH else value[:MAX_VALUE_LENGTH] + "..."
        text = f"{problem['msg'][0].lower()}{problem['msg'][1:]}, got {shown}"
    where = layer_of(path, layers) or (layer_of(path[:-1], layers) if path else None) or layers[-1].name
    return f"{where}: {key_path(path)}: {text}" if path else f"{where}: {text}"


def _without_tags(location: Iterable[str | int], layers: Sequence[Layer]) -> KeyPath:
    """A location without the names of union members that pydantic puts in: keep what some layer holds, and the end."""
    path: list[str | int] = []
    parts = list(location)
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if last or isinstance(part, int) or layer_of((*path, part), layers) is not None:
            path.append(part)
    return tuple(path)


def _unknown_key(path: KeyPath, model: type[BaseModel]) -> str:
    owner = _model_at(path[:-1], model)
    if owner is None:
        return "is not a known key"
    allowed = sorted(field.alias or name for name, field in owner.model_fields.items())
    close = get_close_matches(str(path[-1]), allowed, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"is not a known key; {hint}allowed: {', '.join(allowed)}"


def _model_at(path: KeyPath, model: type[BaseModel]) -> type[BaseModel] | None:
    """The model that describes the mapping at a key path."""
    current: Any = model
    for key in path:
        if isinstance(key, int):
            continue  # the members of a list share one model
        fields = {field.alias or name: field for name, field in current.model_fields.items()}
        found = list(_models_in(fields[key].annotation)) if key in fields else []
        if len(found) != 1:
            return None
        current = found[0]
    return current  # type: ignore[no-any-return]


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:
    """Models named in a type such as ``tuple[Material, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
