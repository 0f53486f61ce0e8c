"""Variations, chains and frames inside the host: what each is in terms of single edits, whatever the sampler and the batches."""

from fractions import Fraction

import pytest
import torch
from PIL import Image

STEPS = 3


@pytest.fixture(scope="module")
def series(pack, nodes):
    from launcher.in_process import pack_module

    return pack_module(nodes, "samplers.series")


def told(editor, **change):
    given = {"model": editor.model, "clip": editor.clip, "vae": editor.vae, "negative": "", "seed": 5, "steps": STEPS}
    return given | {"text_scale": 7.5, "image_scale": 1.5, "sampler": "euler", "scheduler": "normal", "size": 64} | change


@pytest.fixture(scope="module")
def edit(call, editor):
    """The picture of 'Edit image by instruction'."""
    return lambda image, instruction="make it snow", **change: call(
        "IP2PEdit", image=image, instruction=instruction, **told(editor, **change)
    )[0]


@pytest.fixture
def photos():
    return torch.rand(3, 64, 48, 3, generator=torch.Generator().manual_seed(1))


def near(one, other):
    torch.testing.assert_close(one, other, atol=2e-3, rtol=0)


@pytest.fixture(scope="module")
def vary(call, editor):
    return lambda image, count=3, at_once=0, **change: call(
        "IP2PVariations", image=image, instruction="make it snow", count=count, at_once=at_once, **told(editor, **change)
    )


class TestVariations:
    @pytest.mark.parametrize("sampler", ["euler", "euler_ancestral", "lcm", "dpmpp_2m_sde", "dpm_adaptive", "ddim"])
    def test_each_is_the_edit_of_its_seed(self, vary, edit, photos, sampler):
        images, sheet = vary(photos[:1], sampler=sampler)
        assert images.shape == (3, 64, 48, 3)
        assert sheet.shape[0] == 1
        for seed, one in zip((5, 6, 7), images, strict=True):
            near(one, edit(photos[:1], sampler=sampler, seed=seed)[0])
        assert (images[0] - images[1]).abs().mean() > 1e-3

    def test_batches_do_not_matter(self, vary, photos):
        whole, _ = vary(photos[:1], count=5, sampler="euler_ancestral", at_once=5)
        near(whole, vary(photos[:1], count=5, sampler="euler_ancestral", at_once=2)[0])

    def test_each_picture_of_a_batch_gets_its_own(self, vary, photos):
        images, _ = vary(photos[:2], count=2, at_once=3)
        near(images[2:], vary(photos[1:2], count=2)[0])

    def test_less_memory_makes_smaller_batches(self, vary, series, photos, monkeypatch):
        """Memory for one by the host's estimate; and an estimate that was wrong."""
        import comfy.model_management

        whole, _ = vary(photos[:1], count=4)
        rows = []

        def sampled(editing, told, progress, real=series._sampled):
            rows.append(len(told.seeds))
            if len(told.seeds) > 1:
                raise comfy.model_management.OOM_EXCEPTION("no more memory")
            return real(editing, told, progress)

        monkeypatch.setattr(series, "_sampled", sampled)
        near(vary(photos[:1], count=4, at_once=4)[0], whole)
        assert rows == [4, 2, 1, 1, 1, 1]
        rows.clear()
        monkeypatch.setattr(comfy.model_management, "is_device_cpu", lambda device: False)
        monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda *args, **kwargs: 1)
        vary(photos[:1], count=2)
        assert rows == [1, 1]

    def test_a_cpu_takes_few_large_pictures_at_once(self, pack, nodes, editor):
        from launcher.in_process import pack_module

        rows_at_once = pack_module(nodes, "samplers.batches").rows_at_once
        assert [rows_at_once(editor.model, "euler", (4, side, side)) for side in (32, 64, 128)] == [4, 1, 1]
        assert rows_at_once(editor.model, "dpm_adaptive", (4, 32, 32)) == 1

    def test_parts_on_the_model_work(self, vary, edit, editor, call, photos):
        custom = {"steps": 6, "image_every": 4, "text_every": 2, "until": 100.0}
        (model,) = call("IP2PFast", model=editor.model, preset="custom", **custom)[:1]
        images, _ = vary(photos[:1], model=model, steps=6)
        near(images[1:2], edit(photos[:1], model=model, steps=6, seed=6))
        assert (images[1:2] - edit(photos[:1], steps=6, seed=6)).abs().max() > 1e-3
        near(images, vary(photos[:1], speed="fast", steps=6)[0])

    def test_isolating_is_that_of_an_edit(self, vary, edit, photos):
        images, _ = vary(photos[:1], isolate=1.0)
        near(images[1:2], edit(photos[:1], seed=6, isolate=1.0))

    def test_mask_and_empty_instruction(self, vary, call, editor, photos):
        mask = torch.zeros(1, 64, 48)
        mask[:, :32] = 1
        images, _ = vary(photos[:1], mask=mask)
        assert torch.equal(images[:, 32:], photos[:1, 32:].expand(3, -1, -1, -1))
        assert not torch.equal(images[0, :32], images[1, :32])
        same, _ = call("IP2PVariations", image=photos[:1], instruction=" ", count=2, at_once=0, **told(editor))
        assert torch.equal(same, photos[:1].expand(2, -1, -1, -1))

    def test_progress_previews_and_cancelling(self, vary, photos, bar):
        import comfy.model_management

        vary(photos[:1], count=4, at_once=2)
        values = [value for value, *_ in bar.told]
        assert values == sorted(values)
        assert (values[0], values[-1], bar.told[0][1]) == (66, 400, 400)
        assert sum(preview is not None for *_, preview in bar.told) >= 4
        bar.told.clear()
        bar.cancel_at = 250
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            vary(photos[:1], count=4, at_once=1)
        assert bar.told[-1][0] < 300


@pytest.fixture(scope="module")
def chain(call, editor):
    return lambda image, instructions, animation="off", seconds=1.0, between="latent", **change: call(
        "IP2PChain", image=image, instructions=instructions, animation=animation, seconds=seconds, between=between, **told(editor, **change)
    )


class TestChain:
    @pytest.mark.parametrize("sampler", ["euler", "euler_ancestral"])
    def test_one_instruction_is_a_plain_edit(self, chain, edit, photos, sampler):
        stages, last, _ = chain(photos[:1], "\nmake it snow\n", sampler=sampler)
        assert torch.equal(stages, edit(photos[:1], sampler=sampler))
        assert torch.equal(last, stages)

    def test_two_are_two_edits_whose_latent_is_handed_on(self, chain, edit, call, editor, photos):
        """The same by the host's own nodes: the sampled latent is the next conditioning latent as it is."""
        image = photos[:1]
        stages, last, _ = chain(image, "make it snow\nmake it night | text 4 image 1.2")
        fitted, _, fit, _, _ = call("IP2PFitImage", image=image, size=64, method="scale", multiple="8")
        given = {"clip": editor.clip, "vae": editor.vae, "image": fitted, "negative": "", "encoding": "auto"}
        latent = call("IP2PInstruction", **given, instruction="make it snow")[0][0][1]["concat_latent_image"]
        (empty,) = call("CLIPTextEncode", clip=editor.clip, text="")
        for words, text, picture, seed in (("make it snow", 7.5, 1.5, 5), ("make it night", 4.0, 1.2, 6)):
            (instruction,) = call("CLIPTextEncode", clip=editor.clip, text=words)
            positive = [[instruction[0][0], {**instruction[0][1], "concat_latent_image": latent}]]
            scales = {"text_scale": text, "image_scale": picture}
            (guider,) = call("IP2PGuider", model=editor.model, positive=positive, negative=empty, **scales)
            (noise,) = call("RandomNoise", noise_seed=seed)
            (sampler,) = call("KSamplerSelect", sampler_name="euler")
            (sigmas,) = call("BasicScheduler", model=editor.model, scheduler="normal", steps=STEPS, denoise=1.0)
            start = {"samples": torch.zeros_like(latent)}
            custom = {"noise": noise, "guider": guider, "sampler": sampler, "sigmas": sigmas, "latent_image": start}
            latent = call("SamplerCustomAdvanced", **custom)[0]["samples"]
        (picture,) = call("VAEDecode", vae=editor.vae, samples={"samples": latent})
        (restored,) = call("IP2PRestoreImage", image=picture, fit=fit)
        assert torch.equal(stages[1:], restored)
        assert torch.equal(last, restored)
        assert torch.equal(stages[:1], edit(image))
        assert not torch.equal(restored, edit(edit(image), "make it night", text_scale=4.0, image_scale=1.2, seed=6))

    def test_pictures_handed_on_are_plain_edits(self, chain, edit, photos):
        stages, *_ = chain(photos[:1], "make it snow\nmake it night", between="picture")
        assert torch.equal(stages[1:], edit(stages[:1], "make it night", seed=6))

    def test_each_picture_of_a_batch_goes_the_whole_way(self, chain, photos):
        stages, last, _ = chain(photos[:2], "a\nb")
        assert (len(stages), len(last)) == (4, 2)
        assert torch.equal(stages[2:], chain(photos[1:2], "a\nb")[0])
        assert torch.equal(last, stages[[1, 3]])

    def test_no_instructions_give_the_picture(self, chain, photos):
        stages, last, sheet = chain(photos[:1], "\n \n")
        assert torch.equal(stages, photos[:1])
        assert torch.equal(last, photos[:1])
        assert sheet.shape[-1] == 3

    def test_a_mask_holds_in_every_stage(self, chain, photos):
        mask = torch.zeros(1, 64, 48)
        mask[:, :32] = 1
        stages, *_ = chain(photos[:1], "a\nb", mask=mask)
        assert torch.equal(stages[:, 32:], photos[:1, 32:].expand(2, -1, -1, -1))
        assert not torch.equal(stages[0, :32], stages[1, :32])

    def test_the_animation_is_saved_and_shown(self, nodes, call, editor, photos, output):
        kind = nodes.NODE_CLASS_MAPPINGS["IP2PChain"]
        given = told(editor) | {"image": photos[:1], "instructions": "a\nb", "animation": "save", "seconds": 0.5, "between": "latent"}
        with torch.inference_mode():
            shown = kind.execute(**given).ui.as_dict()
        assert shown["animated"] == (True,)
        (saved,) = shown["images"]
        assert saved["type"] == "output"
        with Image.open(output / saved["subfolder"] / saved["filename"]) as film:
            assert (film.format, film.n_frames, film.size) == ("WEBP", 3, (48, 64))
            film.seek(1)
            film.load()
            assert film.info["duration"] == 500

    def test_progress_and_cancelling(self, chain, photos, bar):
        import comfy.model_management

        chain(photos[:1], "a\nb\nc")
        assert bar.told[-1][:2] == (300, 300)
        bar.told.clear()
        bar.cancel_at = 130
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            chain(photos[:1], "a\nb\nc")
        assert bar.told[-1][0] < 200


@pytest.fixture(scope="module")
def frames(call, editor):
    return lambda images, noise="one for all frames", at_once=2, **change: call(
        "IP2PFrames", images=images, instruction="make it snow", noise=noise, at_once=at_once, **told(editor, **change)
    )[0]


class TestFrames:
    @pytest.mark.parametrize("sampler", ["euler", "euler_ancestral", "dpmpp_2m_sde"])
    def test_each_frame_is_its_edit_with_the_one_seed(self, frames, edit, photos, sampler):
        made = frames(photos, sampler=sampler)
        for number in range(3):
            near(made[[number]], edit(photos[[number]], sampler=sampler))

    def test_each_with_a_seed_of_its_own(self, frames, edit, photos):
        made = frames(photos, noise="another for each frame", sampler="euler_ancestral")
        for number in range(3):
            near(made[[number]], edit(photos[[number]], sampler="euler_ancestral", seed=5 + number))

    def test_equal_frames_stay_equal(self, frames, photos):
        still = photos[:1].expand(5, -1, -1, -1)
        one = frames(still, sampler="euler_ancestral")
        near(one, one[:1].expand_as(one))
        own = frames(still, noise="another for each frame", sampler="euler_ancestral")
        assert (own[1:] - own[:-1]).abs().mean() > 1e-3

    def test_masks_go_with_their_frames(self, frames, photos):
        masks = torch.zeros(3, 64, 48)
        for number in range(3):
            masks[number, : 16 * (number + 1)] = 1
        made = frames(photos, mask=masks)
        for number in range(3):
            kept = masks[number] == 0
            assert torch.equal(made[number][kept], photos[number][kept])
            assert not torch.equal(made[number][~kept], photos[number][~kept])

    def test_between_the_hosts_video_nodes(self, frames, call, photos, tmp_path, monkeypatch):
        import folder_paths

        monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path))
        (video,) = call("CreateVideo", images=photos, fps=8.0)
        video.save_to(str(tmp_path / "pan.mp4"))
        (loaded,) = call("LoadVideo", file="pan.mp4")
        images, _, fps = call("GetVideoComponents", video=loaded)
        assert (len(images), fps) == (3, 8.0)
        (edited,) = call("CreateVideo", images=frames(images), fps=fps)
        edited.save_to(str(tmp_path / "edited.mp4"))
        (again,) = call("LoadVideo", file="edited.mp4")
        parts = again.get_components()
        assert parts.images.shape == images.shape
        assert parts.frame_rate == Fraction(8)
        assert (parts.images - images).abs().mean() > 0.02


class TestLargePictures:
    def test_an_edit_above_the_training_size_is_tiled_and_near_the_whole(self, pack, nodes, edit, editor, monkeypatch):
        """The tiny editor was made for 64 pixels; tiles of 192 stand for those of 768."""
        from launcher.in_process import pack_module

        tiles = pack_module(nodes, "ip2p.tiles")
        texture = torch.rand(1, 256, 320, 3, generator=torch.Generator().manual_seed(3))
        whole = edit(texture, size=320, steps=1)
        monkeypatch.setattr(tiles, "TILE", 192)
        monkeypatch.setattr(tiles, "OVERLAP", 64)
        monkeypatch.setattr(tiles, "LARGEST_WHOLE", 192 * 192)
        seen = []
        for name in ("encode", "decode"):
            real = getattr(editor.vae, name)
            monkeypatch.setattr(editor.vae, name, lambda x, name=name, real=real: (seen.append((name, tuple(x.shape))), real(x))[1])
        tiled = edit(texture, size=320, steps=1)
        assert tiled.isfinite().all()
        assert set(seen) == {("encode", (1, 192, 192, 3)), ("decode", (1, 4, 24, 24))}
        assert len(seen) == 2 * 4
        assert not torch.equal(tiled, whole)
        assert (tiled - whole).abs().mean() < 0.35 * whole.std()

    @pytest.mark.parametrize("size", [768, 1152])
    def test_sizes_above_training_work(self, edit, size):
        image = torch.rand(1, 192, size, 3, generator=torch.Generator().manual_seed(3))
        edited = edit(image, size=size, steps=1)
        assert edited.shape == image.shape
        assert edited.isfinite().all()
