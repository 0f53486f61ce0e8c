"""Where the parts of a run lie in its folder."""

from pathlib import Path

CONFIG, STAGES, LOGS, LOCK = "config.json", "stages", "logs", ".lock"
NETWORKS, TRIPLETS, SAMPLES, SETS, CACHE, EDITORS, EDITS, JUDGED = (
    "networks",
    "triplets.jsonl",
    "samples",
    "sets",
    "cache",
    "editors",
    "edits",
    "judged",
)


def file_name(stage: str) -> str:
    """A stage's name as that of a file."""
    return stage.replace("/", "--")


def networks(out: Path) -> Path:
    """Where `ip2p.small` leaves what it trains."""
    return out / NETWORKS


def painter(out: Path) -> Path:
    """The text-to-image model, whole: its autoencoder and text encoder are the editors' too."""
    return networks(out) / "painter.safetensors"


def clip(out: Path) -> Path:
    """The CLIP that filters and measures."""
    return networks(out) / "world_clip"


def triplets(out: Path) -> Path:
    """The edit triplets."""
    return out / TRIPLETS


def samples(out: Path) -> Path:
    """The working folder of all samples (`ip2p.data.samples`)."""
    return out / SAMPLES


def pairs(out: Path, condition: str) -> Path:
    """The data set that the editors of a condition are trained on."""
    return out / SETS / condition


def latents(out: Path, condition: str) -> Path:
    """The encoded pairs of a data set, which its editors share."""
    return out / CACHE / condition


def run_of(out: Path, condition: str, seed: int) -> Path:
    """The training run of an editor."""
    return out / EDITORS / condition / str(seed)


def editor(out: Path, condition: str, seed: int) -> Path:
    """An editor's file."""
    return run_of(out, condition, seed) / "editor.safetensors"


def edits(out: Path, name: str, seed: int) -> Path:
    """The edited pictures of one editor, or of another set of edits."""
    return out / EDITS / name / str(seed)


def judged(out: Path) -> Path:
    """The judge's verdicts."""
    return out / JUDGED
