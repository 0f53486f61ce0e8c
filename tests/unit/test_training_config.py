"""The settings of a run: presets, what overrides what, and what is refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from ip2p.configs import ConfigError
from ip2p.training.config import from_table, load, save
from ip2p.training.placing import located
from ip2p.training.presets import PRESETS

ROOT = Path(__file__).resolve().parents[2]


def test_the_papers_preset_has_the_papers_numbers() -> None:
    paper = from_table({}, "paper")
    assert (paper.run.steps, paper.run.batch, paper.run.schedule, paper.run.warmup, paper.run.ema) == (10_000, 1024, "constant", 0, 0.9999)
    assert (paper.optimizer.rate, paper.optimizer.betas, paper.optimizer.weight_decay) == (1e-4, (0.9, 0.999), 0.01)
    assert (paper.optimizer.clip, paper.objective.snr, paper.model.train) == (0, 0, "full")
    assert (paper.data.crop, paper.data.sizes, paper.data.flip) == (256, (256, 288), 0.5)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_config_that_comes_back_from_its_file(name: str, tmp_path: Path) -> None:
    config = from_table({"data": {"source": "world"}}, name)
    save(config, tmp_path / "config.yaml")
    assert load(tmp_path / "config.yaml") == config
    assert config.run.batch % config.run.micro_batch == 0 if config.run.micro_batch else True


def test_the_file_overrides_its_preset_and_the_command_both(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("preset: 24\nrun: {batch: 64, steps: 7}\noptimizer: {rate: 1e-5}\n")
    config = load(tmp_path / "run.yaml", changes=["run.steps=9", "export.formats=[ldm, lora]", "data.source="])
    assert (config.preset, config.optimizer.name, config.run.micro_batch) == ("24", "adamw8bit", 16)
    assert (config.run.batch, config.run.steps, config.optimizer.rate) == (64, 9, 1e-5)
    assert config.export.formats == ("ldm", "lora")
    assert load(tmp_path / "run.yaml", preset="8").model.train == "lora"


def test_toml_and_json_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('preset = "8"\n[run]\nsteps = 3\n')
    (tmp_path / "run.json").write_text('{"preset": "8", "run": {"steps": 3}}')
    assert load(tmp_path / "run.toml") == load(tmp_path / "run.json")


def test_places_are_looked_for_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "base.safetensors").touch()
    (tmp_path / "run.yaml").write_text("model: {base: base.safetensors}\ndata: {source: photos}\n")
    config = load(tmp_path / "run.yaml")
    assert config.model.base == str(tmp_path / "base.safetensors")
    assert config.data.source == str(tmp_path / "photos")
    assert located("0.6*photos:photos + 0.4*world:add", tmp_path) == f"0.6*photos:{tmp_path / 'photos'} + 0.4*world:add"
    assert located("photos:elsewhere", tmp_path) == "photos:elsewhere"
    assert located("world", tmp_path) == "world"
    assert located("", tmp_path) == ""


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"runs": {}}, "The key 'runs' in the config is unknown; the keys there are preset, model, data"),
        ({"run": {"step": 3}}, "The key 'step' in 'run' of the config is unknown"),
        ({"run": {"steps": "many"}}, "The value 'many' for 'steps' of 'run' of the config is of the wrong type"),
        ({"run": {"steps": 0}}, "The value 0 of 'run.steps' is out of range: use 1 to"),
        ({"optimizer": {"rate": float("nan")}}, "out of range"),
        ({"optimizer": {"betas": [0.9]}}, "'optimizer.betas' takes two numbers, not 1"),
        ({"data": {"crop": 100}}, "use a multiple of 8"),
        ({"data": {"crop": 512}}, "Pictures of 256 pixels hold no crop of 512: raise 'data.sizes' or lower 'data.crop'"),
        ({"data": {"sizes": [288, 256]}}, "write the smaller first"),
        ({"preset": "48"}, "The preset '48' is unknown: use small, 8, 12, 24, 80, paper"),
        ({"export": {"formats": ["onnx"]}}, "The value 'onnx' of 'export.formats' is unknown"),
        ({"model": {"train": "lora", "targets": []}}, "the LoRA has no layers"),
        ({"validation": {"text_scales": []}}, "at least one"),
    ],
)
def test_what_can_not_be_is_refused_in_a_sentence(table: dict, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_table(table)
    assert said in str(caught.value)


@pytest.mark.parametrize("change", ["run.steps", "=3", "run.steps=[1"])
def test_changes_that_are_not_understood_are_refused(tmp_path: Path, change: str) -> None:
    (tmp_path / "run.yaml").write_text("preset: small\n")
    with pytest.raises(ConfigError):
        load(tmp_path / "run.yaml", changes=[change])


def test_help_and_settings_load_nothing_heavy() -> None:
    code = "import sys; from ip2p.cli import main\ntry: main(['train', '--help'])\nexcept SystemExit: pass\nprint('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "--check" in told
    assert told.endswith("False\n")
