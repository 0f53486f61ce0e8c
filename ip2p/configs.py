"""Typed settings from TOML, YAML or JSON files: a key that nobody knows, or a value of the wrong type, is an error that names it."""

import dataclasses
import json
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class ConfigError(ValueError):
    """The file is unreadable, or a key or value in it is wrong; the message names it."""


def read(path: Path | str) -> dict[str, Any]:
    """The tables of a .toml, .yaml, .yml or .json file. Raises ConfigError."""
    place = Path(path)
    try:
        table = _parsed(place.read_text(encoding="utf-8"), place.suffix.lower())
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"The config {path} can't be read ({' '.join(str(error).split())}); name a YAML, TOML or JSON file.") from error
    if not isinstance(table, dict):
        raise ConfigError(f"The config {path} holds no settings; it should have a name, a colon and a value a line.")
    return table


def _parsed(text: str, suffix: str) -> Any:
    if suffix == ".toml":
        return tomllib.loads(text)
    if suffix == ".json":
        return json.loads(text)
    import yaml

    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def build(kind: type[T], table: dict[str, Any], where: str) -> T:
    """An instance of a dataclass from a table of the same keys, checked deeply. Raises ConfigError."""
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(table) - set(hints))
    if unknown:
        raise ConfigError(f"The key '{unknown[0]}' in {where} is unknown; the keys there are {', '.join(hints)}.")
    return kind(**{key: _value(hints[key], value, f"'{key}' of {where}") for key, value in table.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return None if value is None else _value(next(one for one in typing.get_args(hint) if one is not type(None)), value, where)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return build(typing.cast(type, hint), value, where)
    if typing.get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        return tuple(_value(typing.get_args(hint)[0], item, where) for item in value)
    if hint is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-4 as a text
        except ValueError:
            pass
    if hint in (int, str, bool) and type(value) is hint:
        return value
    raise ConfigError(f"The value {value!r} for {where} is of the wrong type.")


def to_table(config: Any) -> dict[str, Any]:
    """A config as nested dicts and lists, ready for `write_yaml` or JSON; `build` gives the config back."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return plain


def write_yaml(path: Path, table: Mapping[str, Any]) -> None:
    """Write tables as YAML, beside its place first, then renamed in."""
    import yaml

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(yaml.safe_dump(dict(table), sort_keys=False, allow_unicode=True), encoding="utf-8")
    part.replace(path)


def one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise ConfigError unless the value is among the allowed."""
    if value not in allowed:
        raise ConfigError(f"The value '{value}' of '{name}' is unknown: use {', '.join(allowed)}.")


def between(name: str, value: float, low: float, high: float) -> None:
    """Raise ConfigError unless low <= value <= high (not so for no number)."""
    if not low <= value <= high:
        raise ConfigError(f"The value {value:g} of '{name}' is out of range: use {low:g} to {high:g}.")


def pair(name: str, value: Sequence[float]) -> None:
    """Raise ConfigError unless there are two."""
    if len(value) != 2:
        raise ConfigError(f"The key '{name}' takes two numbers, not {len(value)}.")


def ordered(name: str, value: Sequence[float]) -> None:
    """Raise ConfigError unless there are two, the smaller first and not below nought."""
    pair(name, value)
    if not 0 <= value[0] <= value[1]:
        raise ConfigError(f"The values {list(value)} of '{name}' are no range: write the smaller first.")


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two nested tables in one; ``above`` wins."""
    both = {name: merged(below[name], above[name]) for name in below if isinstance(below[name], dict) and isinstance(above.get(name), dict)}
    return {**below, **above, **both}


def changed(changes: Sequence[str]) -> dict[str, Any]:
    """The nested table of texts such as "run.steps=100", "data.source=photos" or "export.formats=[ldm, lora]". Raises ConfigError."""
    import yaml

    table: dict[str, Any] = {}
    inner: Any
    for text in changes:
        names, equals, value = text.partition("=")
        if not equals or not names.strip():
            raise ConfigError(f"The change {text!r} is not understood: write TABLE.KEY=VALUE, for example run.steps=1000.")
        try:
            inner = yaml.safe_load(value) if value.strip() else ""
        except yaml.YAMLError as error:
            raise ConfigError(f"The value in {text!r} can't be read: write it as in a YAML file.") from error
        for key in reversed(names.strip().split(".")):
            inner = {key: inner}
        table = merged(table, inner)
    return table
