"""The loop: stopped and resumed anywhere it is the same run to the bit, split in any way it gives the same result, and no weight that is
no number is ever written."""

import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from ip2p.training.chance import Randomness
from ip2p.training.checkpoints import STATE, Checkpoints, ResumeError
from ip2p.training.config import OptimizerConfig, RunConfig
from ip2p.training.loop import Losses, NonFiniteError, Stopped, Watch, fit
from ip2p.training.processes import Processes
from ip2p.training.schedule import rate_at

OPTIMIZER = OptimizerConfig(rate=0.02, clip=0.5)
RUN = RunConfig(steps=11, batch=6, micro_batch=4, schedule="cosine", warmup=3, floor=0.1, ema=0.99, save_every=3)


class Toy:
    """A network with dropout, and losses of samples that are drawn from the step and the sample alone."""

    def __init__(self, run=RUN, bad=()):
        torch.manual_seed(0)
        self.module = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Dropout(0.1), nn.Linear(8, 3))
        self.seed, self.bad, self.asked = run.seed, set(bad), []

    @property
    def parameters(self):
        return list(self.module.named_parameters())

    def __call__(self, step, indices):
        self.asked.append((step, tuple(indices)))
        x = torch.stack([torch.randn(4, generator=Randomness.of(self.seed, step, index).torch) for index in indices])
        found = (self.module(x) - x[:, :3] ** 2).pow(2).mean(1)
        faulty = torch.tensor([(step, index) in self.bad for index in indices])
        return Losses(torch.where(faulty, torch.nan, found), tuple(f"pair {step}-{index}" for index in indices))

    def weights(self):
        return [tensor.detach().clone() for tensor in self.module.parameters()]


def trained(folder, run=RUN, optimizer=OPTIMIZER, toy=None, **watch):
    toy = toy or Toy(run)
    fitted = fit(toy.parameters, toy, optimizer, run, Checkpoints(folder, run.keep), watch=Watch(**watch))
    return fitted, [*toy.weights(), *(mean.clone() for mean in fitted.average)]


def same(some, others):
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


@pytest.mark.parametrize("stop_at", [1, 3, 5, 10])
@pytest.mark.parametrize("how", ["asked", "failed", "mid-step"])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path: Path, stop_at: int, how: str) -> None:
    whole = trained(tmp_path / "whole")[1]
    toy, seen = Toy(), []

    def failing(step, indices):
        if step == stop_at and indices[0] > 0:
            raise RuntimeError("a disk full of sand")
        return toy(step, indices)

    if how == "asked":
        fitted, _ = trained(tmp_path / "part", toy=toy, on_step=seen.append, should_stop=lambda: len(seen) == stop_at)
        assert (fitted.step, fitted.finished) == (stop_at, False)
    elif how == "failed":

        def interrupt(done):
            if done.step == stop_at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "part", toy=toy, on_step=interrupt)
    else:
        with pytest.raises(RuntimeError, match="sand"):
            fit(toy.parameters, failing, OPTIMIZER, RUN, Checkpoints(tmp_path / "part"))
    assert Checkpoints(tmp_path / "part").steps()[0] == stop_at
    fitted, resumed = trained(tmp_path / "part")
    assert fitted.finished
    assert same(whole, resumed)


@pytest.mark.parametrize("change", [{"schedule": "constant"}, {"ema": 0.0}, {"precision": "fp16"}, {"micro_batch": 0}, {"steps": 12}])
def test_resuming_is_exact_for_other_settings_too(tmp_path: Path, change: dict) -> None:
    run, seen = replace(RUN, **change), []
    whole = trained(tmp_path / "whole", run)[1]
    trained(tmp_path / "part", run, on_step=lambda done: seen.append(done), should_stop=lambda: len(seen) == 7)
    assert same(whole, trained(tmp_path / "part", run)[1])


@pytest.mark.parametrize("micro_batch", [1, 2, 4, 5, 0, 100])
def test_any_split_of_a_batch_gives_the_same_result(tmp_path: Path, micro_batch: int) -> None:
    whole = trained(tmp_path / "whole", replace(RUN, micro_batch=6, save_every=99))[1]
    toy = Toy()
    split = trained(tmp_path / "split", replace(RUN, micro_batch=micro_batch, save_every=99), toy=toy)[1]
    for one, other in zip(whole, split, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    largest = max(len(indices) for _, indices in toy.asked)
    assert largest == min(6, micro_batch or 6)
    assert [index for step, indices in toy.asked if step == 4 for index in indices] == list(range(6))


def test_every_sample_belongs_to_one_process() -> None:
    for batch, count in ((6, 1), (6, 4), (7, 3), (3, 3)):
        shares = [Processes(index, count).share(batch) for index in range(count)]
        assert [index for share in shares for index in share] == list(range(batch))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_rate_rises_and_falls() -> None:
    run = RunConfig(steps=100, warmup=10, schedule="cosine", floor=0.1)
    assert rate_at(0, 2.0, run) == pytest.approx(0.2)
    assert rate_at(49, 2.0, run) == pytest.approx(2.0 * (0.55 + 0.45 * 0.0314108), abs=1e-4)
    assert rate_at(100, 2.0, run) == pytest.approx(0.2)
    assert rate_at(99, 2.0, replace(run, schedule="constant")) == 2.0


def test_a_loss_that_is_no_number_is_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    toy, losses = Toy(bad={(4, 1), (4, 5)}), []
    fitted, found = trained(tmp_path / "skip", toy=toy, on_step=lambda done: losses.append(done.loss))
    assert "The loss of step 5 is no number, for pair 4-1, pair 4-5; the step was left out" in caplog.text
    assert fitted.finished
    assert all(tensor.isfinite().all() for tensor in found)
    assert [loss != loss for loss in losses] == [step == 4 for step in range(11)]


def test_a_loss_that_is_no_number_ends_the_run_where_that_is_set(tmp_path: Path) -> None:
    run = replace(RUN, nonfinite="stop")
    with pytest.raises(NonFiniteError, match="The loss of step 5 is no number, for pair 4-1: look at these samples"):
        trained(tmp_path, run, toy=Toy(bad={(4, 1)}))
    store = Checkpoints(tmp_path)
    assert store.steps()[0] == 4
    assert all(tensor.isfinite().all() for tensor in store.read(4)["weights"].values())


def test_a_run_without_any_finite_loss_ends(tmp_path: Path) -> None:
    toy = Toy(bad={(step, 0) for step in range(2, 99)})
    with pytest.raises(NonFiniteError, match="step 52 is no number, for pair 51-0, the 50th time in a row"):
        trained(tmp_path, replace(RUN, steps=99), toy=toy)


def test_a_gradient_that_is_no_number_never_reaches_the_weights(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    toy = Toy()

    def overflowing(step, indices):
        found = toy(step, indices)
        return Losses(found.values * (1 + (0 * toy.module[0].weight.sum()).sqrt()), found.ids) if step == 6 else found

    fit(toy.parameters, overflowing, OPTIMIZER, RUN, Checkpoints(tmp_path))
    assert "The gradient of step 7 is no number, though its losses are; the step was left out" in caplog.text
    assert all(tensor.isfinite().all() for tensor in toy.weights())


def test_weights_that_are_no_numbers_are_never_written(tmp_path: Path) -> None:
    toy = Toy()

    def broken(done):
        if done.step == 5:
            with torch.no_grad():
                toy.module[0].weight[0, 0] = torch.nan

    with pytest.raises(NonFiniteError, match=r"The weight 0\.weight is no number after step"):
        trained(tmp_path, replace(RUN, nonfinite="stop"), toy=toy, on_step=broken)
    assert Checkpoints(tmp_path).steps() == [3]


def test_the_last_and_the_best_are_kept(tmp_path: Path) -> None:
    scores = {2: 0.1, 4: 0.9, 6: 0.3, 8: 0.4, 10: 0.2, 11: 0.5}
    trained(tmp_path, replace(RUN, keep=2), validate=lambda step: scores[step], every=2)
    store = Checkpoints(tmp_path)
    assert store.steps() == [11, 9, 4]
    assert (store.best(), store.best_score()) == (4, 0.9)


def test_validation_sees_the_average_and_changes_nothing(tmp_path: Path) -> None:
    toy, seen = Toy(), {}

    def validate(step):
        seen[step] = toy.weights()
        torch.randn(3)
        return float(step)

    fitted, found = trained(tmp_path / "with", toy=toy, validate=validate, every=4)
    assert same(found, trained(tmp_path / "without")[1])
    assert same(seen[11], fitted.average)
    assert not same(seen[11], toy.weights())


def test_a_validation_that_was_stopped_is_made_when_the_run_goes_on(tmp_path: Path) -> None:
    def stopped(step):
        raise Stopped

    fitted, _ = trained(tmp_path, validate=stopped, every=4)
    assert (fitted.step, fitted.finished) == (4, False)
    seen = []
    trained(tmp_path, validate=lambda step: seen.append(step) or 1.0, every=4)
    assert seen == [4, 8, 11]


@pytest.mark.parametrize("damage", ["flipped", "cut", "no manifest", "empty manifest"])
def test_of_a_damaged_checkpoint_the_one_before_is_taken_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    whole = trained(tmp_path / "whole")[1]
    seen: list = []
    trained(tmp_path / "part", on_step=seen.append, should_stop=lambda: len(seen) == 8)
    store = Checkpoints(tmp_path / "part")
    assert store.steps() == [8, 6]
    place = store.place(8)
    content = (place / STATE).read_bytes()
    if damage == "flipped":
        (place / STATE).write_bytes(content[:2000] + bytes([content[2000] ^ 1]) + content[2001:])
    elif damage == "cut":
        (place / STATE).write_bytes(content[:-100])
    elif damage == "no manifest":
        (place / "manifest.json").unlink()
    else:
        (place / "manifest.json").write_text("")
    steps = []
    _, found = trained(tmp_path / "part", on_step=lambda done: steps.append(done.step))
    assert "step-00000008 is damaged. The one before it is taken." in caplog.text
    assert steps == list(range(7, 12))
    assert same(whole, found)


def test_what_was_half_written_is_never_taken(tmp_path: Path) -> None:
    trained(tmp_path)
    (tmp_path / "step-00000099.partial").mkdir()
    (tmp_path / "step-00000099.partial" / STATE).write_bytes(b"half")
    store = Checkpoints(tmp_path)
    assert store.steps() == [11, 9]
    assert json.loads((store.place(11) / "manifest.json").read_text())["samples"] == 66
    store.save({"weights": {}}, 12, 72)
    assert not list(tmp_path.glob("*.partial"))


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    trained(tmp_path)
    other = nn.Linear(4, 3)
    with pytest.raises(ResumeError, match="is of another network than the settings describe"):
        fit(list(other.named_parameters()), Toy(), OPTIMIZER, RUN, Checkpoints(tmp_path))


def test_the_global_random_state_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    toy = Toy.__new__(Toy)
    toy.module, toy.seed, toy.bad, toy.asked = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)), 0, set(), []
    torch.set_rng_state(before)
    trained(tmp_path, toy=toy)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.whole
def test_twenty_kills_at_random_moments_lose_nothing_but_the_steps_since_the_last_save(tmp_path: Path) -> None:
    here = Path(__file__).resolve().parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parents[1])])}
    command = [sys.executable, str(here / "killed_run.py"), str(tmp_path / "killed"), "20"]
    told = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    lives = [json.loads(line) for line in told.splitlines()]
    assert [life["killed"] for life in lives] == [True] * 20 + [False]
    for one, following in itertools.pairwise(lives):
        assert following["first"] == one["newest"]
        assert one["last"] - one["newest"] <= 4
    run = replace(RUN, steps=400, save_every=4)
    assert lives[-1]["newest"] == 400
    whole = trained(tmp_path / "whole", replace(run, save_every=400))[1]
    assert same(whole, trained(tmp_path / "killed", run)[1])
