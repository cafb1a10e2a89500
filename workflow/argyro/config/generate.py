"""The files that are generated from the models: ``config/default.yaml``, the JSON schema, tables of ``docs/``."""

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from argyro.common.files import write_text

from .load import DEFAULT_FILE, ROOT
from .model import Config
from .pages import write_pages

SCHEMA_FILE = ROOT / "workflow/schemas/config.schema.json"
WIDTH = 120
HEADER = """\
# All settings with their defaults. Generated from the models in workflow/argyro/config by
#
#   .venv/bin/python -m argyro.config
#
# Don't edit it: write what you want different into a file of your own (see config/README.md).

"""


def default_yaml() -> str:
    """Text of ``config/default.yaml``: every key with its description as a comment."""
    return HEADER + "\n".join(_lines(Config(), indent="")) + "\n"


def schema_json() -> str:
    """Text of the JSON schema, for editors."""
    return json.dumps(Config.model_json_schema(by_alias=True), indent=2) + "\n"


def write() -> None:
    """Write all of them."""
    write_text(DEFAULT_FILE, default_yaml())
    write_text(SCHEMA_FILE, schema_json())
    write_pages()


def _lines(section: BaseModel, indent: str) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        yield from _comment(field, indent)
        if isinstance(value, BaseModel):
            yield f"{indent}{field.alias or name}:"
            yield from _lines(value, indent + "  ")
        else:
            yield from _entry(field.alias or name, _plain(value), indent)


def _comment(field: FieldInfo, indent: str) -> list[str]:
    text = " ".join((field.description or "").split())
    return [f"{indent}# {line}" for line in textwrap.wrap(text, WIDTH - len(indent) - 2)]


def _entry(name: str, value: Any, indent: str) -> Iterator[str]:
    """A key with its value: mappings in lists a line each, anything else in YAML's flow style, which is JSON."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        yield f"{indent}{name}:"
        yield from (f"{indent}  - {json.dumps(item)}" for item in value)
    else:
        yield f"{indent}{name}: {json.dumps(value)}"


def _plain(value: Any) -> Any:
    """A value of a field as JSON holds it, members of models only where they differ from their defaults."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str, dict)) else str(value)
