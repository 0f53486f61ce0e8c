"""How well a small text encoder reads unseen instructions: `python bench/reading.py models/embedded.toml --run RUN`.

RUN is the folder of `python -m ip2p small`, with its text stage done. The instructions (tests/phrasings_unseen.txt) were written by hand,
apart from the wordings that training is made of. A photo's is read right when exactly its kinds are found; the world's when what it does
and every word for the thing and for what it becomes are. The last line is one JSON object.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ip2p.worlds.photo_operators import KINDS, in_order  # noqa: E402

UNSEEN = ROOT / "tests" / "phrasings_unseen.txt"


@dataclass(frozen=True)
class Unseen:
    """An instruction with its section, the kinds of photo edit it asks for, and what it says of the world's things by READ's names."""

    text: str
    section: str
    kinds: tuple[str, ...] = ()
    said: Mapping[str, str] = field(default_factory=dict)


def read_unseen(path: Path = UNSEEN) -> list[Unseen]:
    """The instructions of a file in the form that its head describes. Raises ValueError for a kind or word that is unknown."""
    out: list[Unseen] = []
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line.strip() and not line.startswith("#"):
            kinds = () if section == "world" else in_order(section.split("+"))
            if unknown := [kind for kind in kinds if kind not in KINDS]:
                raise ValueError(f"There is no kind of edit {unknown[0]!r}; use {', '.join(KINDS)}.")
            out.append(_of_world(line) if section == "world" else Unseen(line, section, kinds))
    return out


def _of_world(line: str) -> Unseen:
    text, does, old, new = (part.strip() for part in line.split("|"))
    return Unseen(text, "world", (), {"does": does} | _words(old, "old") | _words(new, "new"))


def _words(words: str, which: str) -> dict[str, str]:
    from ip2p.small.wishes import THING

    found = {f"{which}_{part}": word for word in words.split() for part, values in THING.items() if word in values}
    if len(found) != len(words.split()):
        raise ValueError(f"Not every word of {words!r} is one of the world's; use those in ip2p/worlds/scene.py.")
    return found


def right(wanted: Unseen, kinds: tuple[str, ...], said: Mapping[str, str]) -> bool:
    """Whether what was read is what the instruction says: the kinds for a photo, each of READ's values for the world."""
    if wanted.section != "world":
        return said["does"] == "photo" and sorted(kinds) == sorted(wanted.kinds)
    return not kinds and all(value == wanted.said.get(name, "") for name, value in said.items())


def main() -> None:
    options = _options()
    from ip2p.small.config import load
    from ip2p.small.stages import Run
    from ip2p.small.text import read

    wanted = read_unseen(options.file)
    found = read(Run(load(options.config), None, options.run).reader().eval(), [one.text for one in wanted])
    results: dict[str, list[bool]] = defaultdict(list)
    for one, (kinds, said) in zip(wanted, found, strict=True):
        part = "world" if one.section == "world" else "pairs" if len(one.kinds) > 1 else "photos"
        results[part].append(right(one, kinds, said))
        if not results[part][-1]:
            print(f"{one.section:28s} {one.text!r} -> {'+'.join(kinds) or '-'} {' '.join(f'{k}={v}' for k, v in said.items() if v)}")
    summary = {part: round(sum(values) / len(values), 4) for part, values in results.items()}
    print(json.dumps({**summary, "n": {part: len(values) for part, values in results.items()}}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="the run's settings")
    parser.add_argument("--run", type=Path, required=True, help="the run's folder")
    parser.add_argument("--file", type=Path, default=UNSEEN, help="instructions in the form of tests/phrasings_unseen.txt")
    return parser.parse_args()


if __name__ == "__main__":
    main()
