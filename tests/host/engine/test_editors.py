"""Editors made from other models by arithmetic, and written as files that the host loads."""

import pytest
import torch

FIRST = "model.diffusion_model.input_blocks.0.0.weight"


@pytest.fixture(scope="module")
def plain(pack, networks, tmp_path_factory):
    """Two text-to-image networks of the editor's kind: a base and a custom one."""
    import tiny

    from ip2p import checkpoint

    models = []
    for seed in (7, 8):
        path = tmp_path_factory.mktemp("plain") / f"{seed}.safetensors"
        net = tiny.unet(widths=(32, 64), attention=(0, 1), in_channels=4, seed=seed)
        checkpoint.write(path, tiny.ldm(net, networks.vae, networks.clip), tiny.SETTINGS)
        models.append(pack.loading.load(path))
    return models


@pytest.fixture(autouse=True)
def diffusers_folder(tmp_path, monkeypatch, output):
    import folder_paths

    monkeypatch.setitem(folder_paths.folder_names_and_paths, "diffusers", ([str(tmp_path / "diffusers")], {"folder"}))


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class TestMerge:
    def test_the_base_itself_gives_the_editor_back_to_the_bit(self, call, state_of, editor, plain):
        base, _ = plain
        (merged,) = call("IP2PMergeEditor", custom=base.model, editor=editor.model, base=base.model, strength=1.0)
        assert equal(state_of(merged), state_of(editor.model))

    def test_the_difference_is_added_and_the_picture_kept(self, call, state_of, editor, plain):
        base, custom = plain
        (merged,) = call("IP2PMergeEditor", custom=custom.model, editor=editor.model, base=base.model, strength=1.0)
        found, ours, theirs, below = (state_of(one) for one in (merged, custom.model, editor.model, base.model))
        name = "model.diffusion_model.out.2.weight"
        torch.testing.assert_close(found[name], ours[name] + theirs[name] - below[name])
        torch.testing.assert_close(found[FIRST][:, :4], ours[FIRST] + theirs[FIRST][:, :4] - below[FIRST])
        assert torch.equal(found[FIRST][:, 4:], theirs[FIRST][:, 4:])

    def test_what_comes_out_edits(self, graph, call, editor, plain, image):
        base, custom = plain
        (merged,) = call("IP2PMergeEditor", custom=custom.model, editor=editor.model, base=base.model, strength=1.0)
        samples, picture = graph(image, model=merged)
        assert picture.shape == image.shape
        assert samples.isfinite().all()
        assert not torch.equal(samples, graph(image)[0])

    def test_inputs_are_left_as_they_were(self, call, state_of, editor, plain):
        base, custom = plain
        models = (custom.model, editor.model, base.model)
        before = [state_of(model) for model in models]
        call("IP2PMergeEditor", custom=custom.model, editor=editor.model, base=base.model, strength=0.5)
        assert all(equal(state_of(model), state) for model, state in zip(models, before, strict=True))

    def test_wrong_models_are_named(self, call, editor, plain):
        base, custom = plain
        with pytest.raises(ValueError, match="text-to-image model"):
            call("IP2PMergeEditor", custom=custom.model, editor=custom.model, base=base.model, strength=1.0)
        with pytest.raises(ValueError, match="base model is an editor already"):
            call("IP2PMergeEditor", custom=custom.model, editor=editor.model, base=editor.model, strength=1.0)
        with pytest.raises(ValueError, match="There is no model here"):
            call("IP2PMergeEditor", custom=None, editor=editor.model, base=base.model, strength=1.0)


class TestExport:
    def told(self, **change):
        return {"run": "", "form": "ldm", "weights": "ema", "precision": "fp32", "name": "mine"} | change

    def test_a_checkpoint_is_listed_and_loads_as_the_same(self, call, state_of, pack, editor, output):
        (path,) = call("IP2PExportEditor", **self.told(model=editor.model, clip=editor.clip, vae=editor.vae))
        assert path == str(output / "checkpoints" / "mine.safetensors")
        again = pack.loading.load(output / "checkpoints" / "mine.safetensors")
        assert equal(state_of(again.model), state_of(editor.model))
        assert again.clip is not None
        assert again.vae is not None
        assert pack.edit.native_size(again.model) == 64

    def test_half_precision_is_half_the_size(self, call, editor, output):
        sizes = [
            (output / "checkpoints" / f"{name}.safetensors").stat().st_size
            for name in ("fp16", "fp32")
            if call("IP2PExportEditor", **self.told(model=editor.model, precision=name, name=name))
        ]
        assert 0.45 < sizes[0] / sizes[1] < 0.6

    def test_a_diffusers_folder_loads(self, call, state_of, pack, editor, output, tmp_path):
        call("IP2PExportEditor", **self.told(form="diffusers", model=editor.model, clip=editor.clip, vae=editor.vae))
        again = pack.loading.load(tmp_path / "diffusers" / "mine")
        assert equal(state_of(again.model), state_of(editor.model))

    def test_the_hosts_lora_loader_adds_a_delta(self, call, state_of, editor, output, nodes):
        import comfy.utils

        changed = editor.model.clone()
        name = "diffusion_model.out.2.weight"
        changed.add_patches({name: ("diff", (torch.ones_like(editor.model.model_state_dict()[name]),))})
        (path,) = call("IP2PExportEditor", **self.told(form="delta", model=changed, base=editor.model))
        assert path == str(output / "loras" / "mine.safetensors")
        import comfy.sd

        again, _ = comfy.sd.load_lora_for_models(editor.model, None, comfy.utils.load_torch_file(path), 1.0, 0)
        found, wanted = state_of(again), state_of(changed)
        for key in wanted:
            torch.testing.assert_close(found[key], wanted[key], atol=1e-6, rtol=1e-6)

    def test_what_cannot_be_written_is_said(self, call, editor, plain, output):
        with pytest.raises(ValueError, match="LoRA can be written of a training run only"):
            call("IP2PExportEditor", **self.told(form="lora", model=editor.model))
        with pytest.raises(ValueError, match="into 'base'"):
            call("IP2PExportEditor", **self.told(form="delta", model=editor.model))
        with pytest.raises(ValueError, match="text-to-image model"):
            call("IP2PExportEditor", **self.told(model=plain[0].model))
        with pytest.raises(ValueError, match="can't be that of a folder"):
            call("IP2PExportEditor", **self.told(model=editor.model, name="../mine"))
