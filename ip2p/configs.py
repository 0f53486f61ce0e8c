"""Typed settings from TOML, YAML or JSON files: a key that nobody knows, or a value of the wrong type, is an error that names it."""

import dataclasses
import json
import tomllib
import types
import typing
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
    """A config as nested dicts and lists, ready for `write` or JSON; `build` gives the config back."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return plain
