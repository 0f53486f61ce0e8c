"""Scenes with known answers, their judge, and measures, as nodes."""

import json

import pytest
import torch


@pytest.fixture(scope="module")
def question(call):
    return call("IP2PScene", seed=3, kind="recolour", size=64)


def test_a_scene_comes_with_all_that_is_known(question):
    source, answer, mask, instruction, caption, edited_caption, task = question
    assert source.shape == answer.shape == (1, 64, 64, 3)
    assert source.dtype == torch.float32
    assert mask.shape == (1, 64, 64)
    changed = (source - answer).abs().amax(-1) > 2 / 255
    assert changed.any()
    assert not changed[mask == 0].any()
    assert instruction
    assert caption != edited_caption
    assert task.kind == "recolour"


def test_a_seed_always_gives_the_same_scene(call, question):
    again = call("IP2PScene", seed=3, kind="recolour", size=64)
    assert torch.equal(again[0], question[0])
    assert again[3:6] == question[3:6]
    assert not torch.equal(call("IP2PScene", seed=4, kind="recolour", size=64)[0], question[0])


@pytest.mark.parametrize("kind", ["replace", "several", "style", "swap"])
def test_every_kind_can_be_asked_for(call, kind):
    assert call("IP2PScene", seed=1, kind=kind, size=64)[6].kind == kind


def test_every_size_that_the_node_offers_can_be_drawn(call, nodes):
    """From the host's own table of nodes, as the page reads it."""
    limits = nodes.NODE_CLASS_MAPPINGS["IP2PScene"].INPUT_TYPES()["required"]["size"][1]
    for size in (limits["min"], limits["max"]):
        assert call("IP2PScene", seed=1, kind="time", size=size)[0].shape == (1, size, size, 3)


def test_any_kind_gives_different_ones(call):
    assert len({call("IP2PScene", seed=seed, kind="any", size=64)[6].kind for seed in range(6)}) > 1


def test_an_unknown_kind_is_named(call):
    with pytest.raises(ValueError, match="magic"):
        call("IP2PScene", seed=1, kind="magic", size=64)


def test_the_judge_knows_right_from_wrong(call, question):
    source, answer, *_, task = question
    right, verdict, where = call("IP2PJudge", image=answer, task=task)
    assert right is True
    assert verdict.startswith("right: ")
    assert where.shape == (1, 64, 64)
    assert not where.any()
    right, verdict, where = call("IP2PJudge", image=source, task=task)
    assert right is False
    assert verdict.startswith("wrong: ")


def test_the_judge_takes_batches_other_sizes_and_alpha(call, question):
    source, answer, *_, task = question
    right, verdict, _ = call("IP2PJudge", image=torch.cat([source, answer]), task=task)
    assert right is False
    assert [line[:8] for line in verdict.split("\n")] == ["1. wrong", "2. right"]
    enlarged = torch.nn.functional.interpolate(answer.movedim(-1, 1), (128, 128), mode="bicubic").movedim(1, -1)
    assert call("IP2PJudge", image=torch.cat([enlarged, torch.ones(1, 128, 128, 1)], dim=-1), task=task)[2].shape == (1, 128, 128)


def test_the_judge_says_what_it_needs(call, question):
    with pytest.raises(ValueError, match="wire the task of a 'Scene with a known answer'"):
        call("IP2PJudge", image=question[0], task=None)


def test_measures_without_networks(call, question):
    source, answer, mask, *_ = question
    table, numbers = call("IP2PMeasure", before=source, after=torch.cat([source, answer]), answer=answer, mask=mask)
    found = json.loads(numbers)
    assert found["pictures"][1]["l1_source"] == pytest.approx(float((source - answer).abs().mean()), abs=1e-6)
    assert found["mean"]["l1_source"] == pytest.approx(found["pictures"][1]["l1_source"] / 2)
    assert found["pictures"][1]["l1_target"] == 0
    assert found["pictures"][1]["l1_source_outside"] < 1e-3
    assert "| L1 to the target ↓ | " in table
    assert "mean of 2 edits" in table


def test_a_mask_of_another_picture_is_named(call, question):
    with pytest.raises(ValueError, match="mask is 20 x 10 but the picture is 64 x 64"):
        call("IP2PMeasure", before=question[0], after=question[1], mask=torch.rand(1, 10, 20))


@pytest.fixture(scope="module")
def metric_folder(pack, tmp_path_factory):
    """models/ip2p_metrics with a tiny random CLIP and ViT, as transformers writes them."""
    import folder_paths
    import metric_models

    folder = tmp_path_factory.mktemp("metrics")
    metric_models.clip_folder(folder / "tiny-clip")
    metric_models.vit_folder(folder / "tiny-dino")
    folder_paths.add_model_folder_path("ip2p_metrics", str(folder))
    return folder


def load(call, **change):
    given = {"clip": "tiny-clip", "dino": "tiny-dino", "lpips": "none", "input_range": "correct", "clip_name": "", "dino_name": ""}
    return call("IP2PMeasures", **given | change)[0]


def test_networks_are_found_and_used(call, nodes, metric_folder, question):
    source, answer, mask, _, caption, edited_caption, _ = question
    kind = nodes.NODE_CLASS_MAPPINGS["IP2PMeasures"]
    choices = {i.id: i.options for i in kind.GET_SCHEMA().inputs if i.id in ("clip", "dino")}
    assert "tiny-clip" in choices["clip"]
    assert "tiny-dino" in choices["dino"]
    assert "tiny-dino" not in choices["clip"]
    told = {"before": source, "after": answer, "answer": answer, "mask": mask, "caption": caption, "edited_caption": edited_caption}
    found = json.loads(call("IP2PMeasure", **told, measures=load(call))[1])["mean"]
    assert {"clip_image", "clip_text", "clip_direction", "dino_source", "structure_source"} <= found.keys()
    assert found["dino_target"] == pytest.approx(1, abs=1e-5)


def test_networks_live_in_the_hosts_memory(call, metric_folder, question):
    import comfy.model_management

    measures = load(call)
    assert len(measures.patchers) == 2
    call("IP2PMeasure", before=question[0], after=question[1], measures=measures)
    held = [one.model for one in comfy.model_management.current_loaded_models]
    assert all(patcher in held for patcher in measures.patchers)
    comfy.model_management.unload_all_models()
    assert call("IP2PMeasure", before=question[0], after=question[1], measures=measures)[0]


def test_numbers_are_those_of_the_library(call, metric_folder, question):
    from ip2p.metrics.measures import Measures

    told = (question[0][0], question[1][0], question[1][0], question[2][0], question[4], question[5])
    alone = Measures.load(str(metric_folder / "tiny-clip"), str(metric_folder / "tiny-dino"), device="cpu")(*told)
    with torch.inference_mode():
        assert load(call)(*told) == pytest.approx(alone, abs=1e-6)


def test_a_typed_name_goes_first_and_a_lost_one_is_named(call, metric_folder):
    assert load(call, clip="none", clip_name=str(metric_folder / "tiny-clip")).measures.clip
    with pytest.raises(ValueError, match="There is no 'lost' in models/ip2p_metrics"):
        load(call, clip="lost")
    with pytest.raises(ValueError, match="not a CLIP"):
        load(call, clip_name=str(metric_folder / "tiny-dino"))
