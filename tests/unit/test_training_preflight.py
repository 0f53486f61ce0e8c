"""What is said before a run: faults of the data with their cures, memory against a measured peak, time, and what to change."""

import json
import weakref
from dataclasses import replace

import pytest
import tiny
import torch
import training_sets as sets
from layouts import pixels, save
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from ip2p.checkpoint import Checkpoint
from ip2p.data.check import check_pairs
from ip2p.data.pairs import open_pairs
from ip2p.training import edit, estimate
from ip2p.training import preflight as checks
from ip2p.training.config import DataConfig, RunConfig, TrainConfig
from ip2p.training.run import autocast, prepared

CPU = torch.device("cpu")
SAMPLES = 4


@pytest.fixture(scope="module")
def base():
    """Wide enough for activations and weights to matter both."""
    return Checkpoint(tiny.ldm(tiny.unet(widths=(64, 128))), "sd15", "only", {name: str(value) for name, value in tiny.SETTINGS.items()})


def settings(**changes):
    small = replace(TrainConfig(), data=DataConfig(crop=128, sizes=(128, 144)), run=RunConfig(batch=SAMPLES, steps=10))
    return estimate.changed(small, {name.replace("__", "."): value for name, value in changes.items()})


class Peak(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive while it is active."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self.alive = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_flatten(out)[0]:
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self.alive:
                self._add(tensor.untyped_storage())
        return out

    def _add(self, storage):
        key = storage._cdata
        self.alive[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, lambda: setattr(self, "now", self.now - self.alive.pop(key)))


CASES = [
    {},
    {"run__precision": "bf16"},
    {"model__train": "conv"},
    {"model__train": "lora"},
    {"model__gradient_checkpointing": True},
]


@pytest.mark.parametrize("changes", CASES)
def test_estimated_memory_is_near_the_measured_peak(base, changes):
    """Within a quarter above and a tenth below, on a network whose every tensor is counted through two whole steps."""
    config = settings(**changes)
    needed = estimate.memory(base, config, estimate.activations(base, config), "cpu", SAMPLES)
    ours = needed.weights + needed.gradients + needed.optimiser + needed.activations
    batch = checks.random_batch(SAMPLES, 16, 32)
    with Peak() as peak:
        model = prepared(edit, base, config, CPU)
        optimizer = torch.optim.AdamW([parameter for _, parameter in model.parameters])
        for _ in range(2):
            optimizer.zero_grad()
            with autocast(config, CPU):
                loss = edit.losses(model, batch, config).mean()
            loss.backward()
            optimizer.step()
    frozen = sum(parameter.nbytes for parameter in model.unet.parameters() if not parameter.requires_grad)  # the file's own, not new
    assert 0.9 < ours / (peak.most + frozen) < 1.25


def test_operations_are_those_of_the_layers(base):
    """Twice as many pixels a side are four times the work, up to attention's square."""
    small = estimate.activations(base, settings())
    large = estimate.activations(base, settings(data__sizes=(256, 256), data__crop=256))
    assert 4 <= large.operations / small.operations < 6
    assert 3.7 < large.kept / small.kept < 5
    assert small.checkpointed < small.kept / 2


@pytest.mark.whole
def test_a_run_that_does_not_fit_is_told_what_to_change(base, monkeypatch, tmp_path):
    sets.triplets(tmp_path, size=(160, 160))
    config = settings(data__source=str(tmp_path), data__split="all")
    needed = checks.preflight(config, base, "cpu").memory.total
    one = estimate.memory(base, config, estimate.activations(base, config), "cpu", 2).total
    for free, told in ((needed * 2, ()), (one / checks.SPARE + 1, ("set run.micro_batch=2: ",)), (1.0, ("no setting of this model fits",))):
        monkeypatch.setattr(checks, "room", lambda device, free=free: (24 * 2.0**30, free))
        report = checks.preflight(config, base, "cpu")
        assert report.fits == (not told)
        assert [line.startswith(start) for line, start in zip(report.advice, told, strict=False)] == [True] * len(told)
        assert ("the preset 24 is made for a card like this." in report.advice) == bool(told)
        assert ("too little" if told else "enough") in str(report)


def test_time_is_measured_where_it_is_short_and_worked_out_where_not(base, monkeypatch, tmp_path):
    sets.triplets(tmp_path, size=(160, 160))
    config = settings(data__source=str(tmp_path), data__split="all", run__batch=2)
    timed = checks.preflight(config, base, "cpu")
    monkeypatch.setattr(checks, "QUICK", 0)
    monkeypatch.setattr(checks, "speed", lambda device, precision: 1e9)
    guessed = checks.preflight(config, base, "cpu")
    assert (timed.timed, guessed.timed) == (True, False)
    operations = estimate.activations(base, config).operations
    assert guessed.step_seconds == pytest.approx(3 * operations * 2 / 0.4e9)
    assert timed.step_seconds > 0
    assert "for 10 steps" in str(timed)


def test_durations_read_well():
    told = {0.25: "0.25 s", 42: "42 s", 720: "12 min", 12600: "3.5 h", 400_000: "4.6 days"}
    assert {seconds: checks.duration(seconds) for seconds in told} == told


@pytest.fixture
def faulty(tmp_path):
    """A plain folder with one pair of each fault."""
    folder = sets.triplets(tmp_path / "data", 12, (64, 64))
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    (folder / "1b.png").unlink()
    (folder / "2a.png").write_bytes(b"nothing")
    lines[3]["instruction"] = lines[0]["instruction"]
    save(folder / "4b.png", pixels(1, 64, 32))
    save(folder / "5b.png", pixels(1, 128, 128))
    for half in ("a", "b"):
        save(folder / f"6{half}.png", pixels(1 + ord(half), 40, 40))
        (folder / f"8{half}.png").write_bytes((folder / f"9{half}.png").read_bytes())
    (folder / "7b.png").write_bytes((folder / "7a.png").read_bytes())
    lines[8]["instruction"] = lines[9]["instruction"]
    lines[10].pop("edited")
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def test_every_fault_is_named_with_its_pair_and_its_cure(faulty):
    found = check_pairs(open_pairs(str(faulty), "all"), crop=64)
    named = {fault.kind: fault.where for fault in found.faults}
    assert named == {
        "missing": ["000002", "prompt 10"],
        "unreadable": ["000003"],
        "shapes": ["000005"],
        "sizes": ["000006"],
        "small": ["000005", "000007"],
        "identical": ["000008"],
        "duplicates": ["000010"],
        "repeated": ["000004", "000010"],
    }
    text = str(found)
    assert "2 lack a half or their text (000002, prompt 10): add the files, or take the pairs out. The first: " in text
    assert "1b.png is not there" in text
    assert not found.clean


def test_empty_instructions(tmp_path):
    folder = sets.authors(tmp_path)
    (folder / "0000001" / "prompt.json").write_text('{"edit": "  "}')
    found = check_pairs(open_pairs(str(folder), "all"))
    assert [(fault.kind, fault.count) for fault in found.faults] == [("empty", 2)]
    assert "have an empty instruction (0000001/11, 0000001/12)" in str(found)


def test_a_sound_set_is_called_so_and_a_large_one_is_sampled(tmp_path):
    pairs = open_pairs(str(sets.authors(tmp_path, prompts=6, seeds=(1, 2, 3, 4, 5, 6, 7))), "all")
    whole = check_pairs(pairs, limit=0)
    assert (whole.clean, whole.prompts, whole.pairs, whole.pairs_each) == (True, 6, 42, 7)
    assert str(whole).endswith("all prompts looked at, 42 pairs, no fault found")
    some = check_pairs(pairs, limit=2)
    assert (some.prompts, some.pairs) == (2, 8)
    assert "2 of 6 prompts looked at" in str(some)
    assert check_pairs(pairs, seconds=0).prompts < 6, "a sample takes no longer than it may"
    assert check_pairs(pairs, limit=0, seconds=0).prompts == 6


def test_what_was_left_out_at_opening_is_told(tmp_path):
    sets.authors(tmp_path)
    listed = json.loads((tmp_path / "seeds.json").read_text())
    (tmp_path / "seeds.json").write_text(json.dumps([*listed, ["0000077", [1]]]))
    found = check_pairs(open_pairs(str(tmp_path), "all"))
    assert not found.clean
    assert "left out: seeds.json lists 1 folders that are not there (0000077)" in str(found)


def test_looking_can_be_stopped(tmp_path):
    pairs = open_pairs(str(sets.triplets(tmp_path)), "all")

    def stop(done):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_pairs(pairs, on_pair=stop)


def test_a_disk_too_small_for_what_is_kept_is_told(base, tmp_path, monkeypatch):
    sets.triplets(tmp_path, size=(160, 160))
    config = settings(data__source=str(tmp_path), data__split="all", run__batch=1)
    assert checks.preflight(config, base, "cpu", out=tmp_path).advice == ()
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda place: type("Disk", (), {"free": 10}))
    advice = checks.preflight(config, base, "cpu", out=tmp_path / "not" / "yet").advice
    assert len(advice) == 1
    assert "name a data.cache on a larger disk" in advice[0]


def test_the_world_has_no_fault():
    assert check_pairs(open_pairs("world:remove", size=64), crop=64, limit=2).clean


def test_made_pairs_that_show_no_change_are_no_fault(tmp_path):
    save(tmp_path / "a.png", pixels(3, 64, 64))
    found = check_pairs(open_pairs(f"photos:{tmp_path}", "all", 32), limit=0)
    assert (found.clean, found.pairs > 100, found.made) == (True, True, True)


def test_alpha_and_grey_pictures_are_no_fault(tmp_path):
    sets.triplets(tmp_path, 2, (64, 64))
    for name, mode in (("0a", "RGBA"), ("0b", "L"), ("1a", "CMYK")):
        image = Image.open(tmp_path / f"{name}.png").convert("RGB")
        path = tmp_path / f"{name}.png"
        if mode == "CMYK":
            path.unlink()
            image.convert(mode).save(path, "TIFF")
        else:
            image.convert(mode).save(path)
    assert check_pairs(open_pairs(str(tmp_path), "all"), 64).clean
