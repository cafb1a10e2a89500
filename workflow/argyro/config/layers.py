"""Layers of configuration: YAML files and command-line settings, later ones on top of earlier ones."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from argyro.common.errors import ConfigError

type KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Layer:
    """One source of settings.

    Attributes:
        name: Where they come from, as messages show it.
        content: The settings, nested.
    """

    name: str
    content: Mapping[str, Any]


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML without its traps: a key given twice is an error, and 1e-3 is a number."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002  signature of YAML
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.MarkedYAMLError(problem=f"the key '{key}' is given twice", problem_mark=node.start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def parse_yaml(text: str) -> Any:
    """What a YAML text holds.

    Raises:
        yaml.YAMLError: not YAML, or a key is given twice.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506  a safe loader


def read_layer(path: Path) -> Layer:
    """Settings of a YAML file.

    Raises:
        ConfigError: missing, not YAML, a key given twice, or no mapping.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not a text file in UTF-8") from None
    except yaml.MarkedYAMLError as error:
        place = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}: is not valid YAML{place}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {error}") from None
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds no settings; expected lines such as 'seed: 1', found {content!r:.60}")
    return Layer(str(path), content)


def read_assignments(assignments: Iterable[str]) -> Layer | None:
    """Settings from the command line, such as ``seed=2`` or ``structures.seeds.count=5``; None if there are none.

    Raises:
        ConfigError: no ``=``, no key, or a value that is not YAML.
    """
    content: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not all(key.split(".")):
            raise ConfigError(f"--config {assignment}: expected KEY=VALUE, such as structures.seeds.count=5")
        try:
            value = parse_yaml(text)
        except yaml.YAMLError:
            raise ConfigError(f"--config {assignment}: the value is not valid YAML") from None
        for name in reversed(key.split(".")):
            value = {name: value}
        content = merge(content, value)
    return Layer("--config", content) if content else None


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of two layers in one: mappings merge, anything else of the upper layer replaces."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def layer_of(path: KeyPath, layers: Iterable[Layer]) -> str | None:
    """Name of the uppermost layer that sets a key or anything above it that is not a mapping."""
    found = None
    for layer in layers:
        node: Any = layer.content
        for key in path:
            if not isinstance(node, Mapping) or key not in node:
                break
            node = node[key]
        else:
            found = layer.name
            continue
        if not isinstance(node, Mapping):  # the whole list or value comes from here
            found = layer.name
    return found
