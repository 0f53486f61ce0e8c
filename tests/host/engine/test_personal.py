"""DreamBooth and guidance distillation inside the host, on tiny networks; and the pairs to learn from."""

import json

import pytest
import torch
from PIL import Image

SIZE = 64


@pytest.fixture(scope="module")
def learn(call, editor, output):
    """Run the DreamBooth node."""

    def run(**change):
        generator = torch.Generator().manual_seed(2)
        pictures = {"image_1": torch.rand(1, 80, 64, 3, generator=generator), "image_2": torch.rand(2, 64, 64, 4, generator=generator)}
        given = {"model": editor.model, "clip": editor.clip, "vae": editor.vae, "word": "sks", "noun": "owl", "class_images": 2}
        given |= {"train": "full", "steps": 2, "rate": 0.001, "size": SIZE, "seed": 0, "save_every": 100, "name": "owl"}
        given["more"] = "dreambooth.class_steps=1"
        return call("IP2PDreamBooth", **given | pictures | change)

    return run


@pytest.fixture(scope="module")
def learnt(learn):
    return learn()


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class TestDreamBooth:
    def test_the_model_learns_and_the_host_is_as_it_was(self, learnt, learn, state_of, editor, output, call):
        model, clip, plot, pictures, report, run = learnt
        before = state_of(editor.model)
        assert not equal(state_of(model), before)
        assert type(model.model) is type(editor.model.model)
        assert clip is editor.clip
        assert plot.shape[-1] == pictures.shape[-1] == 3
        assert "2 of 2 steps" in report
        assert run == "owl"
        folder = output / "ip2p_training" / "owl"
        assert sorted(path.name for path in (folder / "instances").iterdir()) == ["01.png", "02.png", "03.png"]
        assert len(list((folder / "class_pictures").glob("*.png"))) == 2
        told = {"prompt": "a photo of sks owl", "strength": 1.0, "seed": 1, "steps": 2, "cfg": 7.5, "negative": "", "size": SIZE}
        image = torch.rand(1, 64, 64, 3)
        (made,) = call("IP2PSDEdit", model=model, clip=clip, vae=editor.vae, image=image, sampler="euler", scheduler="normal", **told)
        assert made.isfinite().all()

    def test_the_folder_can_move(self, learnt, output):
        from ip2p.training import config

        settings = config.load(output / "ip2p_training" / "owl" / "config.yaml")
        assert settings.data.source == str(output / "ip2p_training" / "owl" / "instances")
        assert settings.dreambooth.prompt == "a photo of sks owl"
        assert settings.dreambooth.class_prompt == "a photo of an owl"
        assert "source: instances" in (output / "ip2p_training" / "owl" / "config.yaml").read_text()

    def test_a_trained_text_encoder_comes_out(self, learn, editor):
        _, clip, *_ = learn(name="words", class_images=0, more="dreambooth.text_encoder=true")
        ours, theirs = (one.patcher.model_state_dict() for one in (clip, editor.clip))
        name = next(name for name in theirs if name.endswith("layers.0.mlp.fc1.weight"))
        assert not torch.equal(ours[name], theirs[name])

    def test_other_pictures_are_not_mixed(self, learnt, learn):
        with pytest.raises(ValueError, match="learnt from other pictures"):
            learn(image_1=torch.zeros(1, 64, 64, 3))

    def test_a_subject_needs_words(self, learn):
        with pytest.raises(ValueError, match="rare word"):
            learn(word=" ", name="nothing")


class TestDistil:
    def test_one_pass_is_trained_attached_and_exported(self, call, editor, state_of, output, graph, image):
        before = state_of(editor.model)
        given = {"model": editor.model, "clip": editor.clip, "vae": editor.vae, "pairs": "world:style", "preset": "small", "steps": 2}
        given |= {"batch": 2, "rate": 0.001, "size": SIZE, "seed": 0, "rank": 2, "save_every": 100, "validate_every": 0, "validate_on": 1}
        given |= {"text_scales": "7.5", "image_scales": "1.5", "more": "data.count=2\nrun.log_every=1", "name": "fast"}
        model, *_, run = call("IP2PDistilGuidance", **given)
        assert equal(state_of(editor.model), before)
        samples, _ = graph(image, model=model)
        assert samples.isfinite().all()
        (path,) = call("IP2PExportEditor", run=run, form="lora", weights="ema", precision="fp16", name="")
        assert path == str(output / "loras" / "fast.safetensors")
        import folder_paths

        folder_paths.add_model_folder_path("loras", str(output / "loras"))
        (again,) = call("IP2POnePass", model=editor.model, adapter="fast.safetensors")
        torch.testing.assert_close(graph(image, model=again)[0], samples, atol=2e-2, rtol=2e-2)
        with pytest.raises(ValueError, match="one-pass adapter already"):
            call("IP2PDistilGuidance", **given | {"model": again, "name": "twice"})

    def test_an_adapter_that_is_not_there(self, call, editor):
        with pytest.raises(ValueError, match="There is no adapter 'missing"):
            call("IP2POnePass", model=editor.model, adapter="missing.safetensors")


class TestPairs:
    @pytest.fixture
    def folder(self, tmp_path):
        lines = []
        for number in range(40):
            for kind, value in (("a", number), ("b", 255 - number)):
                Image.new("RGB", (32, 32 if number else 48), (value, 0, 0)).save(tmp_path / f"{number}{kind}.png")
            lines.append({"image": f"{number}a.png", "edited": f"{number}b.png", "instruction": f"make it {number}"})
        (tmp_path / "3b.png").write_bytes(b"broken")
        lines[5]["instruction"] = " "
        (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
        return tmp_path

    def test_pairs_are_shown_and_faults_named(self, call, folder):
        told = {"data": "folder", "source": str(folder), "check": 40, "share": 0.5}
        spec, sheet, report = call("IP2PTrainingData", **told)
        assert spec == str(folder)
        assert sheet.shape[0] == 1
        assert "36 prompts to learn from, 2 held out" in report
        assert "can't be read" in report
        assert "empty instruction" in report or "instruction" in report

    def test_two_sources_are_mixed(self, call):
        told = {"data": "world", "source": "style", "check": 0, "share": 0.5}
        spec, *_ = call("IP2PTrainingData", **told)
        both, *_ = call("IP2PTrainingData", **told | {"source": "weather", "share": 0.25}, others=spec)
        assert both == "0.25*world:weather + 0.75*world:style"
        three, sheet, report = call("IP2PTrainingData", **told | {"source": "time"}, others=both)
        assert three == "0.5*world:time + 0.125*world:weather + 0.375*world:style"
        assert sheet.shape[-1] == 3
        assert "held out" in report

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"data": "folder", "source": ""}, "needs a folder"),
            ({"data": "photos", "source": ""}, "No folder of photos"),
            ({"data": "folder", "source": "/no/such/folder"}, "There is no data at"),
            ({"source": "magic"}, "no edits of the kind 'magic'"),
        ],
    )
    def test_what_is_not_there_is_said(self, call, change, sentence):
        with pytest.raises(ValueError, match=sentence):
            call("IP2PTrainingData", **{"data": "world", "source": "", "check": 0, "share": 0.5} | change)
