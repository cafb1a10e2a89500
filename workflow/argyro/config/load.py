"""From layers of settings to a checked configuration."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from argyro.common.errors import ConfigError

from .layers import Layer, merge, read_assignments, read_layer
from .messages import describe
from .model import Config

ROOT = Path(__file__).resolve().parents[3]
CONFIG_FOLDER = ROOT / "config"
DEFAULT_FILE = CONFIG_FOLDER / "default.yaml"


def load_config(layers: Sequence[Layer]) -> Config:
    """Check settings.

    Args:
        layers: The lowest first.

    Raises:
        ConfigError: a wrong key or value; all of them are named, with the file each comes from.
    """
    content: dict[str, Any] = reduce(merge, (layer.content for layer in layers), {})
    try:
        # By way of JSON pydantic takes lists for tuples and integers for floats, but no text or booleans for numbers
        return Config.model_validate_json(json.dumps(content, default=str), strict=True, context={"root": ROOT})
    except ValidationError as error:
        raise ConfigError(describe(error, Config, layers)) from None


def load_files(overlay: Path | None, assignments: Iterable[str] = ()) -> Config:
    """Configuration of ``config/default.yaml``, a file on top of it, and settings of the command line.

    Raises:
        ConfigError: as `load_config`, or a file is not readable.
    """
    layers = [read_layer(DEFAULT_FILE)]
    if overlay is not None:
        layers.append(read_layer(overlay))
    if own := read_assignments(assignments):
        layers.append(own)
    return load_config(layers)


def load_mapping(content: Mapping[str, Any]) -> Config:
    """Configuration of settings that are merged already, as Snakemake has them.

    Raises:
        ConfigError: as `load_config`.
    """
    return load_config([Layer("configuration", content)])


def preset_file(name: str) -> Path:
    """The overlay of a preset.

    Raises:
        ConfigError: there is no such preset.
    """
    path = CONFIG_FOLDER / f"{name}.yaml"
    presets = sorted(file.stem for file in CONFIG_FOLDER.glob("*.yaml") if file != DEFAULT_FILE)
    if name not in presets:
        raise ConfigError(f"--preset {name}: there is no such preset; allowed: {', '.join(presets)}")
    return path


def dump(config: Config) -> dict[str, Any]:
    """All settings as JSON and YAML hold them."""
    return config.model_dump(mode="json", by_alias=True)
