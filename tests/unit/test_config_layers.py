"""Layers of configuration and messages about what is wrong with them."""

from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from argyro.common.errors import ConfigError
from argyro.config.base import Section
from argyro.config.layers import Layer, layer_of, merge, read_assignments, read_layer
from argyro.config.messages import describe


class Inner(Section):
    count: int = Field(default=1, gt=0)
    size_nm: float = 1.0


class Outer(Section):
    inner: Inner = Inner()
    members: tuple[Inner, ...] = ()


def message(*layers: Layer) -> str:
    """What is said of a wrong configuration."""
    content: dict[str, object] = {}
    for layer in layers:
        content = merge(content, layer.content)
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(content)
    return describe(caught.value, Outer, layers)


def test_mappings_merge_and_lists_replace() -> None:
    below = {"a": {"x": 1, "y": [1, 2]}, "b": 1}
    above = {"a": {"y": [3]}, "c": {"z": 0}}
    assert merge(below, above) == {"a": {"x": 1, "y": [3]}, "b": 1, "c": {"z": 0}}
    assert below == {"a": {"x": 1, "y": [1, 2]}, "b": 1}


def test_later_assignments_win_and_dots_nest() -> None:
    layer = read_assignments(["a.b=1", "a.c=[x, 2]", "a.b=1e-3", "d={e: true}"])
    assert layer is not None
    assert layer.content == {"a": {"b": 0.001, "c": ["x", 2]}, "d": {"e": True}}


@pytest.mark.parametrize("word", ["seed", "=1", "a..b=1", "a=[1"])
def test_damaged_assignment_is_named(word: str) -> None:
    with pytest.raises(ConfigError, match="--config " + word.replace("[", r"\[")):
        read_assignments([word])


def test_uppermost_layer_that_sets_a_key_is_named() -> None:
    layers = [
        Layer("low", {"a": {"b": 1}, "m": [{"n": 1}]}),
        Layer("mid", {"a": {"b": 2}}),
        Layer("top", {"a": {"c": 2}}),
    ]
    assert layer_of(("a", "b"), layers) == "mid"
    assert layer_of(("m", 0, "n"), layers) == "low"
    assert layer_of(("z",), layers) is None


def test_wrong_value_names_file_key_value_and_range() -> None:
    text = message(Layer("default.yaml", {"inner": {"count": 2}}), Layer("my.yaml", {"inner": {"count": -3}}))
    assert text == "my.yaml: inner.count: input should be greater than 0, got -3"


def test_unknown_key_names_the_nearest_and_all_known_ones() -> None:
    text = message(Layer("my.yaml", {"inner": {"coutn": 2}}))
    assert text == "my.yaml: inner.coutn: is not a known key; did you mean 'count'? allowed: count, size_nm"


def test_wrong_member_of_a_list_is_counted_from_zero() -> None:
    text = message(Layer("my.yaml", {"members": [{}, {"size": 1}]}))
    assert text.startswith("my.yaml: members[1].size: is not a known key; did you mean 'size_nm'?")


def test_every_problem_has_a_line() -> None:
    text = message(Layer("a", {"inner": {"count": 0}}), Layer("b", {"inner": {"size_nm": float("nan")}}))
    assert text.splitlines() == [
        "a: inner.count: input should be greater than 0, got 0",
        "b: inner.size_nm: input should be a finite number, got nan",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: [1", "is not valid YAML in line"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "is not valid YAML in line 3: the key 'c' is given twice"),
        ("- 1\n", "holds no settings"),
        ("just words", "holds no settings"),
        ("\tseed: 1", "is not valid YAML"),
        ("a: !!python/object:os.system {}", "is not valid YAML"),
    ],
)
def test_damaged_file_is_one_clear_message(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "my config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_layer(path)
    assert str(caught.value).startswith(f"{path}: {complaint}")


def test_missing_and_binary_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        read_layer(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not a text file"):
        read_layer(tmp_path / "binary.yaml")


def test_empty_file_sets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("# nothing\n")
    assert read_layer(path).content == {}


def test_numbers_with_exponents_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "numbers.yaml"
    path.write_text("a: 1e-3\nb: -2E+4\nc: .5e1\nd: 1.5e3\ne: e3\n")
    assert read_layer(path).content == {"a": 1e-3, "b": -2e4, "c": 5.0, "d": 1500.0, "e": "e3"}
