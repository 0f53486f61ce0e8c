"""A run from end to end on a tiny network: stopped, killed, continued, on one process and on two; its log, its plot and its files."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file
from training_sets import triplets

from ip2p import checkpoint
from ip2p.checkpoint import Checkpoint
from ip2p.cli import main
from ip2p.configs import ConfigError
from ip2p.training import config as configs
from ip2p.training import curves, log
from ip2p.training.checkpoints import Checkpoints, ResumeError
from ip2p.training.config import TrainConfig, from_table, merged
from ip2p.training.kinds import kind_of
from ip2p.training.run import open_run, prepared, progress_of, train

ROOT = Path(__file__).resolve().parents[2]
TABLE = {
    "data": {"crop": 32, "sizes": [32, 36], "threads": 0, "variants": 2},
    "optimizer": {"rate": 1e-3, "clip": 1.0},
    "run": {"steps": 6, "batch": 4, "micro_batch": 3, "schedule": "cosine", "warmup": 2, "ema": 0.9, "save_every": 4, "log_every": 2},
    "validation": {"count": 0},
    "export": {"formats": []},
}
LORA = {"model": {"train": "lora", "rank": 2}}


@pytest.fixture(scope="module")
def base() -> Checkpoint:
    state = tiny.ldm(net=tiny.unet(widths=(32, 32), in_channels=4), autoencoder=tiny.vae(widths=(32, 32, 32, 32)))
    return Checkpoint(state, "sd15", "only", {name: str(value) for name, value in tiny.SETTINGS.items()})


@pytest.fixture(scope="module")
def work(base: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base model, pairs, and a config that names both."""
    folder = tmp_path_factory.mktemp("work")
    checkpoint.write(folder / "base.safetensors", base.state, tiny.SETTINGS)
    (folder / "pairs").mkdir()
    triplets(folder / "pairs", 40)
    table = merged(TABLE, {"model": {"base": "base.safetensors"}, "data": {"source": "pairs"}})
    (folder / "run.json").write_text(json.dumps(table))
    return folder


def config(work: Path, *more: dict) -> TrainConfig:
    table = merged(TABLE, {"data": {"source": str(work / "pairs")}})
    for one in more:
        table = merged(table, one)
    return from_table(table)


def learnt(trained) -> list[torch.Tensor]:
    return [*raw(trained.trainable), *(mean.clone() for mean in trained.average)]


def raw(model) -> list[torch.Tensor]:
    return [parameter.detach().clone() for _, parameter in model.parameters]


def distance(some, others) -> float:
    return sum(float((one - other).pow(2).sum()) for one, other in zip(some, others, strict=True)) ** 0.5


def same(some, others) -> bool:
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))


@pytest.mark.whole
@pytest.mark.parametrize("how", [{}, LORA, {"run": {"precision": "bf16"}}], ids=["full", "lora", "bf16"])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(base: Checkpoint, work: Path, tmp_path: Path, how: dict) -> None:
    chosen = config(work, how)
    whole = train(chosen, tmp_path / "whole", base, device="cpu")
    events: list = []
    part = train(chosen, tmp_path / "part", base, device="cpu", on_event=events.append, should_stop=lambda: len(events) == 3)
    assert (part.step, part.finished) == (3, False)
    assert progress_of(tmp_path / "part") == "step 3 of 6"
    rest = train(chosen, tmp_path / "part", base, device="cpu", on_event=events.append)
    assert (rest.step, rest.finished, rest.notes) == (6, True, ())
    assert [event.step for event in events] == [1, 2, 3, 4, 5, 6]
    assert same(learnt(whole), learnt(rest))
    steps = [line["step"] for line in log.lines(tmp_path / "part")]
    assert steps == [2, 4, 6]
    kept = open_run(tmp_path / "part", base=base)
    assert same(kept.average, whole.average)


def test_a_finished_run_is_given_back_at_once(base: Checkpoint, work: Path, tmp_path: Path) -> None:
    chosen = config(work)
    first = train(chosen, tmp_path, base, device="cpu")
    again = train(chosen, tmp_path, base, device="cpu", on_event=lambda event: pytest.fail("it trained"))
    assert again.finished
    assert same(learnt(first), learnt(again))


def test_other_settings_go_on_and_are_said_another_network_is_refused(base: Checkpoint, work: Path, tmp_path: Path) -> None:
    chosen = config(work, LORA, {"run": {"steps": 2}})
    train(chosen, tmp_path, base, device="cpu")
    longer = train(config(work, LORA, {"run": {"steps": 3}, "optimizer": {"rate": 5e-4}}), tmp_path, base, device="cpu")
    assert longer.step == 3
    assert longer.notes == ("optimizer.rate 0.001 → 0.0005", "run.steps 2 → 3")
    for change, name in (({"model": {"rank": 4}}, "model.rank 2"), ({"model": {"train": "full"}}, "model.train lora")):
        with pytest.raises(ResumeError, match=f"began with {name}, and .* makes another network of it: use another folder"):
            train(config(work, merged(LORA, change)), tmp_path, base, device="cpu")
    other = Checkpoint({name: tensor + 1 for name, tensor in base.state.items()}, "sd15", "only", base.settings)
    with pytest.raises(ResumeError, match="began from another base model"):
        train(chosen, tmp_path, other, device="cpu")


def test_validation_is_logged_drawn_and_chooses_the_best(base: Checkpoint, work: Path, tmp_path: Path) -> None:
    look = {"validation": {"count": 2, "every": 3, "steps": 1, "split": "all"}, "export": {"formats": ["ldm"], "precision": "fp32"}}
    events: list = []
    done = train(config(work, look), tmp_path, base, device="cpu", on_event=events.append)
    found = [line for line in log.lines(tmp_path) if "validation" in line]
    assert [line["step"] for line in found] == [3, 6]
    assert all(0 < line["validation"]["l1_target"] < 1 for line in found)
    losses = curves.series(log.lines(tmp_path), "loss")[1]
    assert losses[-1] < 0.9 * losses[0]
    assert [event.step for event in events if event.validated] == [3, 6]
    best = min(found, key=lambda line: line["validation"]["l1_target"])
    assert Checkpoints(tmp_path / "checkpoints").best() == best["step"]
    assert open_run(tmp_path, "best", base).step == best["step"]
    assert curves.curves(tmp_path).shape[2] == 3
    assert {path.name for path in (tmp_path / "validation").iterdir()} == {"step-00000003.png", "step-00000006.png"}
    assert [path.name for path in done.files] == ["editor.safetensors"]
    assert checkpoint.unet_in_channels(load_file(done.files[0])) == 8


def test_the_best_by_a_number_of_ones_own_must_be_measured(base: Checkpoint, work: Path, tmp_path: Path) -> None:
    look = {"validation": {"count": 1, "every": 1, "steps": 1, "split": "all", "best": "beauty"}}
    with pytest.raises(ConfigError, match=r"'beauty' of validation\.best is not measured: use l1_target"):
        train(config(work, look), tmp_path, base, device="cpu")


def test_a_run_without_held_out_pairs_says_so(base: Checkpoint, work: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    few = triplets(tmp_path / "few", 3)
    table = {"data": {"source": str(few), "split": "all"}, "run": {"steps": 1}, "validation": {"count": 2}}
    assert train(config(work, table), tmp_path / "run", base, device="cpu").finished
    assert "There is no validation: There is no pair left in the val part" in caplog.text


def test_the_config_is_kept_and_trains_the_same(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--set", "run.steps=2", "--set", "export.formats=[ldm]", "--device", "cpu"]
    assert main(["train", "--config", str(work / "run.json"), "--out", str(tmp_path / "a"), *arguments]) == 0
    told = capsys.readouterr()
    assert told.out == f"{tmp_path / 'a' / 'editor.safetensors'}\n"
    assert "2 of 2 steps done" in told.err
    kept = configs.load(tmp_path / "a" / "config.yaml")
    assert kept.run.steps == 2
    assert Path(kept.data.source) == work / "pairs"
    assert main(["train", "--config", str(tmp_path / "a" / "config.yaml"), "--out", str(tmp_path / "b"), "--device", "cpu"]) == 0
    one, other = (load_file(tmp_path / name / "editor.safetensors") for name in "ab")
    assert same(one.values(), [other[name] for name in one])


def test_mistakes_in_the_command_are_told_in_a_sentence(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, out = str(work / "run.json"), str(tmp_path / "run")
    for words, said in (
        (["--set", "run.stepz=2"], "The key 'stepz' in 'run' of the config is unknown; the keys there are steps, batch"),
        (["--set", "run.steps"], "write TABLE.KEY=VALUE"),
        (["--set", "run.precision=fp8"], "The value 'fp8' of 'run.precision' is unknown: use fp32, bf16, fp16."),
        (["--set", "model.base="], "No base model is named"),
        (["--set", "data.source=nowhere"], "nowhere"),
        (["--set", "optimizer.name=adamw8bit"], "adamw8bit needs"),
    ):
        assert main(["train", "--config", config, "--out", out, "--device", "cpu", *words]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "run" / "checkpoints").exists()


def gradients(checkpoints: Path) -> list[torch.Tensor]:
    """The running means of the gradients after four steps."""
    states = Checkpoints(checkpoints).read(4)["optimizer"]["state"]
    return [state["exp_avg"] for state in states.values()]


def test_a_check_trains_nothing_and_names_faults(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "--config", str(work / "run.json"), "--out", str(tmp_path / "run"), "--device", "cpu", "--check"]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "36 pairs, no fault found" in told
    assert "memory with 3 at once" in told
    few = triplets(tmp_path / "few", 3)
    (few / "1b.png").write_bytes(b"no picture")
    assert main([*arguments, "--set", f"data.source={few}", "--set", "data.split=all"]) == 1
    assert "can't be read" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def command(work: Path, out: Path, *more: str) -> list[str]:
    return ["-m", "ip2p", "train", "--config", str(work / "run.json"), "--out", str(out), "--device", "cpu", *more]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.mark.whole
def test_two_processes_give_what_one_gives_and_one_goes_on(base: Checkpoint, work: Path, tmp_path: Path) -> None:
    constant = {"run": {"schedule": "constant"}, "optimizer": {"clip": 0.0, "rate": 1e-5}}
    whole = train(config(work, constant), tmp_path / "one", base, device="cpu")
    same_rate = ("--set", "run.schedule=constant", "--set", "optimizer.clip=0", "--set", "optimizer.rate=1e-5")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    subprocess.run(
        [*launch, *command(work, tmp_path / "two", "--set", "run.steps=4", *same_rate)],
        env=environment(),
        cwd=ROOT,
        check=True,
    )
    assert Checkpoints(tmp_path / "two" / "checkpoints").steps() == [4]
    assert [line["step"] for line in log.lines(tmp_path / "two")] == [2, 4]
    (tmp_path / "two").rename(tmp_path / "moved")
    rest = train(config(work, constant), tmp_path / "moved", base, device="cpu")
    assert rest.notes == ("run.steps 4 → 6",)
    losses = [curves.series(log.lines(tmp_path / name), "loss")[1] for name in ("one", "moved")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    start = raw(prepared(kind_of(config(work)), base, config(work), torch.device("cpu")))
    one, other = raw(whole.trainable), raw(rest.trainable)
    assert distance(one, other) < 0.05 * distance(one, start)  # AdamW moves a weight whose gradient is nothing but rounding as far as any
    one, other = (gradients(tmp_path / name / "checkpoints") for name in ("one", "moved"))
    assert distance(one, other) < 1e-4 * distance(one, [0 * mean for mean in one])


@pytest.mark.whole
def test_an_interrupt_saves_and_says_how_to_go_on(base: Checkpoint, work: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    running = subprocess.Popen(
        [sys.executable, *command(work, out, "--set", "run.steps=100000", "--set", "run.schedule=constant")],
        env=environment(),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not Checkpoints(out / "checkpoints").steps():
        assert running.poll() is None, running.communicate()[1]
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    told = running.communicate()[1]
    assert running.returncode == 130
    assert "Saving a checkpoint" in told
    assert "The same command again goes on from here." in told
    step = Checkpoints(out / "checkpoints").steps()[0]
    assert f"{step} of 100000 steps done" in told
    table = {"run": {"steps": step, "schedule": "constant"}}
    assert same(learnt(train(config(work, table), tmp_path / "whole", base, device="cpu")), learnt(open_run(out)))
