"""A sweep inside the host: every cell is the edit node's picture, passes are shared, the grid is previewed, and cancelling works."""

import pytest
import torch

TEXT, IMAGE = (1.5, 7.5), (1.0, 1.5)
PAIRS = [(text, image) for image in IMAGE for text in TEXT]
STEPS = 3


@pytest.fixture
def told(editor, image):
    known = {"model": editor.model, "clip": editor.clip, "vae": editor.vae, "image": image, "instruction": "make it snow", "negative": ""}
    return known | {"seed": 5, "steps": STEPS, "sampler": "euler", "scheduler": "normal", "size": 64}


@pytest.fixture
def sweep(call, told):
    def run(**change):
        return call("IP2PSweep", **told | {"text_scales": "1.5, 7.5", "image_scales": "1:1.5:0.5"} | change)

    return run


@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral", "dpmpp_2m_sde"])
def test_each_cell_is_the_edit_nodes_picture(sweep, call, told, sampler):
    """Brownian noise belongs to a whole batch, so that such samplers run cell by cell; all give the same."""
    sheet, cells, table, report = sweep(sampler=sampler)
    assert cells.shape == (4, *told["image"].shape[1:])
    for (text, image), cell in zip(PAIRS, cells, strict=True):
        (alone,) = call("IP2PEdit", **told | {"sampler": sampler}, text_scale=text, image_scale=image)
        torch.testing.assert_close(cell, alone[0], atol=1e-4, rtol=0)
    assert sheet.shape[0] == 1
    assert sheet.shape[-1] == 3
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == [f"text {t:g}, image {i:g}" for t, i in PAIRS]
    assert "network passes" in report


def test_passes_are_shared(sweep, editor):
    """Cells of image scale 1 need two passes, (1.5, 1.5) two others, (7.5, 1.5) three; a batch makes its first step's once."""
    log = []
    model = editor.model.clone()
    model.set_model_unet_function_wrapper(
        lambda apply, args: log.append(len(args["input"])) or apply(args["input"], args["timestep"], **args["c"])
    )
    *_, report = sweep(model=model)
    assert sorted(log) == sorted([3] * 3 + [2, 4, 4] + [2] * 3)
    assert report == f"4 edits in {sum(log)} network passes; one by one they take 27 ({1 - sum(log) / 27:.0%} saved)."


def test_parts_of_the_model_join_every_cell(sweep, call, told, editor):
    early = {"text_start": 0.0, "text_end": 20.0, "image_start": 0.0, "image_end": 20.0}
    model, _ = call("IP2PScheduleScales", model=editor.model, text_points="", image_points="", **early)
    _, cells, *_ = sweep(model=model)
    (alone,) = call("IP2PEdit", **told | {"model": model}, text_scale=7.5, image_scale=1.5)
    torch.testing.assert_close(cells[3], alone[0], atol=1e-4, rtol=0)
    assert not torch.equal(cells[3], sweep()[1][3])


def test_a_schedule_that_fixes_a_scale_leaves_nothing_to_sweep(sweep, call, editor):
    whole = {"text_start": 0.0, "text_end": 100.0, "image_start": 0.0, "image_end": 100.0}
    model, _ = call("IP2PScheduleScales", model=editor.model, text_points="0:7.5, 100:1", image_points="", **whole)
    with pytest.raises(ValueError, match="schedule of this model fixes the text scale"):
        sweep(model=model)


def test_the_bar_goes_over_all_batches_and_shows_the_grid(sweep, bar, monkeypatch):
    from comfy.cli_args import LatentPreviewMethod, args

    monkeypatch.setattr(args, "preview_method", LatentPreviewMethod.Latent2RGB)
    sweep()
    assert [value for value, *_ in bar.told] == list(range(1, 3 * STEPS + 1))
    assert {total for _, total, _ in bar.told} == {3 * STEPS}
    shapes = {preview[1].size for *_, preview in bar.told}
    assert len(shapes) == 1
    ((width, height),) = shapes
    assert (width % 2, height % 2) == (0, 0)


def test_the_preview_puts_every_cell_in_its_place(nodes, editor):
    from launcher.in_process import pack_module

    sweeping, pure = pack_module(nodes, "samplers.sweeping"), pack_module(nodes, "ip2p.sweep")
    preview = sweeping.Preview(editor.model, pure.Grid((1.0, 2.0, 3.0), (1.0, 1.5)), [(4, 0, 2), (1, 3, 5)], 2)
    cells = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 4, 5, 7)
    first = preview.laid_out(cells[[4, 0, 2]])
    assert first.shape == (1, 4, 10, 21)
    preview.finished()
    whole = preview.laid_out(cells[[1, 3, 5]])
    assert whole[0, 0, ::5, ::7].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert whole[0, 0, :5, :7].unique().tolist() == [0]


def test_cancelling_ends_it_at_the_next_step(sweep, bar):
    import comfy.model_management

    bar.cancel_at = 2
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        sweep()
    assert len(bar.told) == 2


def test_auto_scales_give_numbers_out(call, told, bar):
    """One of the nine pairs; the picture of the edit node with them is one that the coarse sweep has tried."""
    text, image, report, sheet = call("IP2PAutoScales", **told, text_scale=5.0, image_scale=1.5)
    assert (text, image) in [(t, i) for i in (1.0, 1.5, 2.0) for t in (3.0, 5.0, 8.0)]
    assert report.startswith(f"text scale {text:g}, image scale {image:g}. ")
    assert "9 edits in" in report
    assert sheet.shape[-1] == 3
    assert bar.told[-1][0] == bar.told[-1][1]


def test_auto_scales_by_clip(call, told):
    measures = call("IP2PMeasures", clip="world_clip", dino="none", lpips="none", input_range="correct")[0]
    captions = {"caption": "a red circle", "edited_caption": "a red circle in snow"}
    *_, report, sheet = call("IP2PAutoScales", **told, text_scale=5.0, image_scale=1.5, measures=measures, **captions)
    assert "CLIP direction" in report or "No other pair" in report
    assert sheet.std() > 0


def test_captions_bring_numbers(sweep, call, nodes, told):
    measures = call("IP2PMeasures", clip="world_clip", dino="none", lpips="none", input_range="correct")[0]
    plain = sweep()
    sheet, _, table, _ = sweep(measures=measures, caption="a red circle", edited_caption="a red circle in snow")
    assert "CLIP direction" in table
    assert "CLIP image" in table
    assert "CLIP" not in plain[2]
    assert sheet.shape[1] > plain[0].shape[1]


@pytest.mark.parametrize(
    ("change", "said"), [({"instruction": " "}, "needs an instruction"), ({"text_scales": "high"}, "'high' is no number")]
)
def test_what_can_not_be_swept_is_refused(sweep, change, said):
    with pytest.raises(ValueError, match=said):
        sweep(**change)
