"""The stages of a reproduction: what each needs, what decides its result, what it leaves in the run's folder, and who makes it."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ..configs import to_table
from . import places
from .config import Config
from .edits import jobs

NETWORKS = ("joint", "clip", "captioned", "painter")

Work = Callable[[Path, Config], None]


@dataclass(frozen=True)
class Stage:
    """A piece of the run. ``needs``: stages before it; ``settings``: the JSON values that decide its result beside them; ``leaves``: what
    it makes, as patterns below the run's folder; ``work``: makes it, or goes on where it was stopped."""

    name: str
    needs: tuple[str, ...]
    settings: Mapping[str, Any]
    leaves: tuple[str, ...]
    work: Work


def stages(config: Config) -> dict[str, Stage]:
    """All stages by name, each after those that it needs."""
    table = to_table(config)
    made = [*_networks(table), *_data(config, table), *_editors(config, table), *_edits(config, table)]
    edited = tuple(stage.name for stage in made if stage.name.startswith("edits/"))
    shards = range(config.evaluation.shards)
    made += [_judged(table, edited, shard) for shard in shards]
    made.append(Stage("report", tuple(f"judged/{shard}" for shard in shards), {}, ("report.*", "figures"), _made("report", "make")))
    return {stage.name: stage for stage in made}


def digests(known: Mapping[str, Stage]) -> dict[str, str]:
    """What decides the result of each stage and of all before it, in 64 digits."""
    found: dict[str, str] = {}
    for name, stage in known.items():
        text = json.dumps([name, stage.settings, [found[need] for need in stage.needs]], sort_keys=True)
        found[name] = hashlib.sha256(text.encode()).hexdigest()
    return found


def _networks(table: dict[str, Any]) -> list[Stage]:
    needs: dict[str, tuple[str, ...]] = {"captioned": ("joint",), "painter": ("joint", "captioned")}
    clip = ("clip", "world") if table["clip"]["part"] else ("clip",)
    of = {"joint": ("world", "joint"), "clip": clip, "captioned": ("world", "captioned"), "painter": ("text", "painter")}
    leaves = {"joint": "autoencoder.safetensors", "clip": "world_clip", "painter": "painter.safetensors"}
    return [
        Stage(name, needs.get(name, ()), _tables(table, *of[name]), _below(places.NETWORKS, name, leaves.get(name, name)), _network(name))
        for name in NETWORKS
    ]


def _data(config: Config, table: dict[str, Any]) -> list[Stage]:
    drawn = {name: value for name, value in table["pairs"].items() if name not in ("keep", "slack")}
    shards = tuple(f"samples/{shard}" for shard in range(config.pairs.shards))
    needs = ("clip", "painter", "triplets")
    return [
        Stage("triplets", (), _tables(table, "world", "prompts"), (places.TRIPLETS,), _made("prompts", "triplets")),
        *(Stage(name, needs, drawn, (places.SAMPLES,), _made("samples", "samples", shard)) for shard, name in enumerate(shards)),
        Stage("sets", shards, _tables(table, "world", "pairs"), (places.SETS, places.CACHE), _made("sets", "sets")),
    ]


def _editors(config: Config, table: dict[str, Any]) -> list[Stage]:
    shared = {name: value for name, value in table["editors"].items() if name not in ("conditions", "seeds")}
    return [
        Stage(name := f"editors/{condition}/{seed}", ("painter", "sets"), shared, (name,), _made("editors", "editor", condition, seed))
        for seed in config.editors.seeds
        for condition in config.editors.conditions
    ]


def _edits(config: Config, table: dict[str, Any]) -> list[Stage]:
    return [
        Stage(name := f"edits/{job.name}/{job.seed}", job.needs, _evaluation(table), (name,), _made("edits", "edits", job.name, job.seed))
        for job in jobs(config)
    ]


def _judged(table: dict[str, Any], edited: tuple[str, ...], shard: int) -> Stage:
    settings = _tables(table, "world", "evaluation")
    leaves = _below(places.JUDGED, str(shard), f"{shard}.*")
    return Stage(f"judged/{shard}", edited, settings, leaves, _made("judged", "judged", shard))


def _made(module: str, function: str, *more: Any) -> Work:
    """The work of a function of ours, whose module is imported when it is time for it."""

    def work(out: Path, config: Config) -> None:
        getattr(import_module(f".{module}", __package__), function)(out, config, *more)

    return work


def _network(name: str) -> Work:
    def work(out: Path, config: Config) -> None:
        from ..small.config import Config as Small
        from ..small.stages import STAGES, Run

        tables = {table: getattr(config, table) for table in ("world", "joint", "clip", "captioned", "text", "painter")}
        STAGES[name](Run(Small(**tables), None, places.networks(out), resume=True))

    return work


def _evaluation(table: dict[str, Any]) -> dict[str, Any]:
    """What decides which edits are made: how they are shared out does not."""
    return {name: value for name, value in table["evaluation"].items() if name != "shards"} | _tables(table, "world")


def _tables(table: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: table[name] for name in names}


def _below(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{folder}/{name}" for name in names))
