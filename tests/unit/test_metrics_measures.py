"""Measures: its columns against their parts, masks, batches, the cache, and what goes wrong."""

import json
import math

import pytest
import torch
from metric_models import changed, clip_folder, mask_of, photo, vit_folder
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from ip2p.metrics import pixels, similarity
from ip2p.metrics.cache import LARGEST, Cache, content
from ip2p.metrics.clip import Clip
from ip2p.metrics.columns import COLUMNS
from ip2p.metrics.measures import Item, Measures

CAPTIONS = {"caption": "a house by a lake", "edited_caption": "a red house by a lake"}
PLAIN = {f"{kind}_source" for kind in ("l1", "l2", "psnr", "ssim")}


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    clip, vit = clip_folder(tmp_path_factory.mktemp("clip")), vit_folder(tmp_path_factory.mktemp("vit"))
    return {"clip": clip, "dino": vit, "lpips": "alex", "device": "cpu"}


@pytest.fixture(scope="module")
def measures(names):
    return Measures.load(**names)


def fresh(measures, folder=None):
    """The same networks with nothing remembered."""
    return Measures(measures.clip, measures.dino, measures.lpips, Cache(folder))


def item(name="china.jpg", seed=0, **more):
    source = photo(name)
    return Item(source, changed(source, seed), **more)


def whole_item():
    return item(target=changed(photo(), 1), mask=mask_of(photo()), **CAPTIONS)


def same(a, b, tolerance=2e-6):
    return a.keys() == b.keys() and all(math.isclose(a[name], b[name], rel_tol=1e-5, abs_tol=tolerance) for name in a)


def test_every_column_comes_out_of_a_whole_item(measures):
    row = measures.batch([whole_item()])[0]
    assert list(row) == list(COLUMNS)
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert all(column.title and isinstance(column.higher_is_better, bool) for column in COLUMNS.values())


def test_only_what_can_be_computed_is_there(measures):
    assert Measures()(photo(), changed(photo())).keys() == PLAIN
    row = measures(photo(), changed(photo()), edited_caption="a house")
    assert row.keys() == PLAIN | {"clip_image", "clip_text", "lpips_source", "dino_source", "structure_source"}


def test_columns_are_their_parts(measures):
    one = whole_item()
    row = measures.batch([one])[0]
    a, b, c = (x[None] for x in (one.source, one.result, one.target))
    clip, mask = measures.clip, one.mask[None]
    source, result, target = clip(torch.cat([a, b, c])).split(1)
    before, after = clip.texts(list(CAPTIONS.values())).split(1)
    keys = [measures.dino.keys(x) for x in (a, b, c)]
    inside, outside = mask[..., None], 1 - mask[..., None]
    expected = {
        "clip_image": similarity.cosine(source, result),
        "clip_image_target": similarity.cosine(target, result),
        "clip_text": similarity.cosine(result, after),
        "clip_text_inside": similarity.cosine(clip(b * inside), after),
        "clip_direction": similarity.direction(source, result, before, after),
        "dino_target": similarity.cosine(measures.dino(c), measures.dino(b)),
        "structure_source": similarity.structure_distance(keys[0], keys[1]),
        "structure_target": similarity.structure_distance(keys[2], keys[1]),
        "l1_target": pixels.l1(b, c),
        "l2_source_inside": pixels.l2(a, b, mask),
        "psnr_source_outside": pixels.psnr(a, b, 1 - mask),
        "ssim_target_inside": pixels.ssim(b, c, mask),
        "lpips_source": lpips_of(measures, a, b),
        "lpips_target": lpips_of(measures, c, b),
        "lpips_source_outside": lpips_of(measures, a * outside, b * outside),
        "lpips_target_inside": lpips_of(measures, c * inside, b * inside),
    }
    assert same({name: row[name] for name in expected}, {name: float(value) for name, value in expected.items()})


@torch.no_grad()
def lpips_of(measures, a, b):
    return measures.lpips(a.movedim(-1, 1) * 2 - 1, b.movedim(-1, 1) * 2 - 1)


def test_pie_columns_against_torchmetrics(measures):
    """As the benchmark's script: both blacked out where the edit is, mean over the whole picture."""
    one = whole_item()
    row = measures.batch([one])[0]
    kept = 1 - one.mask[..., None]
    a, b = ((x * kept).permute(2, 0, 1)[None].double() for x in (one.source, one.result))
    assert row["psnr_source_pie"] == pytest.approx(float(peak_signal_noise_ratio(b, a, data_range=1.0)), abs=1e-4)
    assert row["l2_source_pie"] == pytest.approx(float((a - b).square().mean()), rel=1e-5)
    whole = structural_similarity_index_measure(b, a, data_range=1.0, return_full_image=True)[1]
    assert row["ssim_source_pie"] == pytest.approx(float(whole[..., 5:-5, 5:-5].mean()), abs=1e-5)


def test_a_mask_of_ones_is_no_mask(measures):
    one = item(target=changed(photo(), 1), **CAPTIONS)
    without = measures.batch([one])[0]
    full = measures(one.source, one.result, one.target, torch.ones(96, 128), **CAPTIONS)
    assert not any(name.endswith(("_outside", "_pie")) for name in full)
    assert same({name: full[name] for name in without}, without)
    assert all(math.isclose(full[f"{name}_inside"], full[name], rel_tol=1e-5, abs_tol=1e-6) for name in without if f"{name}_inside" in full)
    empty = measures(one.source, one.result, one.target, torch.zeros(96, 128), **CAPTIONS)
    assert not any(name.endswith("_inside") for name in empty)
    assert empty["psnr_source_pie"] == pytest.approx(without["psnr_source"])


def test_an_edit_that_keeps_to_its_mask(measures):
    one = whole_item()
    kept = torch.where(one.mask[..., None] == 1, one.result, one.source)
    row = measures(one.source, kept, mask=one.mask)
    assert row["l1_source_outside"] == row["lpips_source_outside"] == row["l2_source_pie"] == 0
    assert row["psnr_source_outside"] == pixels.PSNR_CAP
    assert row["l1_source_inside"] > 0


def test_nothing_changed(measures):
    row = measures(photo(), photo(), photo(), **CAPTIONS)
    for name in ("l1_source", "l2_target", "lpips_source", "structure_target", "clip_direction"):
        assert row[name] == pytest.approx(0, abs=1e-6)
    for name in ("clip_image", "clip_image_target", "dino_source", "ssim_target"):
        assert row[name] == pytest.approx(1, abs=1e-5)
    assert row["psnr_source"] == pixels.PSNR_CAP


def test_directions_turn_around(measures):
    a, b = photo(), changed(photo())
    there, back = measures(a, b, **CAPTIONS), measures(b, a, caption=CAPTIONS["edited_caption"], edited_caption=CAPTIONS["caption"])
    for name in ("clip_direction", "clip_image", "lpips_source", "dino_source", "structure_source", "l1_source", "ssim_source"):
        assert there[name] == pytest.approx(back[name], abs=1e-5)


def test_another_size_is_brought_to_the_sources(measures):
    source, result = photo(), changed(photo())
    large = pixels.resized(result[None], 192, 256)[0]
    row = measures(source, large, target=large)
    back = pixels.resized(large[None], 96, 128)
    assert row["l1_source"] == pytest.approx(pixels.l1(source[None], back).item(), abs=1e-6)
    assert row["l1_target"] == row["lpips_target"] == row["structure_target"] == 0
    assert row["psnr_source"] > 15


def test_a_batch_and_a_stream_are_their_singles(measures):
    items = [whole_item(), item("flower.jpg", 2), item("coffee.jpg", 3, **CAPTIONS), item("china.jpg", 4, mask=mask_of(photo()))]
    items.append(Item(photo("rocket.jpg", 64, 64), changed(photo("rocket.jpg", 64, 64))))
    singles = [fresh(measures).batch([one])[0] for one in items]
    assert all(same(a, b) for a, b in zip(fresh(measures).batch(items), singles, strict=True))
    assert all(same(a, b) for a, b in zip(fresh(measures).stream(iter(items), batch=2), singles, strict=True))


def test_a_stream_holds_only_a_batch():
    taken = []

    def items():
        for i in range(6):
            taken.append(i)
            yield item(seed=i)

    rows = Measures().stream(items(), batch=2)
    next(rows)
    assert taken == [0, 1]
    assert len(list(rows)) == 5


def test_features_on_disk_give_the_same_numbers_without_the_networks(measures, tmp_path):
    row = fresh(measures, tmp_path).batch([whole_item()])[0]
    again = fresh(measures, tmp_path)
    runs = []
    networks = (again.clip.model.vision_model, again.clip.model.text_model, again.dino.model)
    hooks = [network.register_forward_hook(lambda *_: runs.append(1)) for network in networks]
    assert again.batch([whole_item()])[0] == row
    assert runs == [1]  # the keys of the result, which are not kept
    assert again.cache.misses == 0
    for hook in hooks:
        hook.remove()
    again.clip = Clip(measures.clip.model, measures.clip.tokenizer, input_range="paper_compat")
    assert again.batch([whole_item()])[0]["clip_image"] != row["clip_image"]


def test_a_damaged_entry_is_made_again(measures, tmp_path):
    row = fresh(measures, tmp_path).batch([whole_item()])[0]
    files = sorted(tmp_path.rglob("*.features"))
    assert not list(tmp_path.rglob(".*"))
    for i, file in enumerate(files):
        data = file.read_bytes()
        file.write_bytes((b"", data[: len(data) // 2], data[:-1] + bytes([data[-1] ^ 1]))[i % 3])
    again = fresh(measures, tmp_path)
    assert same(again.batch([whole_item()])[0], row)
    assert again.cache.hits < again.cache.misses
    healed = fresh(measures, tmp_path)
    assert same(healed.batch([whole_item()])[0], row)
    assert healed.cache.misses == 0


def test_a_cache_in_memory_forgets_the_least_used():
    cache = Cache(memory=3 * 400)
    for name in "abc":
        cache.put(name, torch.full((100,), float(ord(name))))
    assert cache.get("a") is not None
    cache.put("d", torch.zeros(100))
    assert cache.get("b") is None
    assert cache.get("a")[0] == ord("a")
    cache.put("large", torch.zeros(1000))
    assert cache.get("large") is None
    assert cache.used <= cache.memory


def test_a_cache_that_cannot_write_still_works(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file")
    cache.put("a", torch.ones(3))
    assert cache.get("a").tolist() == [1, 1, 1]
    assert Cache(tmp_path / "file").get("a") is None


def test_large_features_are_kept_in_memory_alone(tmp_path):
    cache = Cache(tmp_path)
    cache.put("keys", torch.zeros(LARGEST // 4 + 1))
    assert cache.get("keys") is not None
    assert not list(tmp_path.iterdir())


def test_content_is_shape_and_values():
    picture = photo()
    assert content(picture) == content(picture.clone())
    assert content(picture) != content(picture.flip(0))
    assert content(torch.zeros(2, 3)) != content(torch.zeros(3, 2))


def test_networks_can_be_managed_from_outside(measures, names):
    assert measures.modules().keys() == {"clip", "dino", "lpips"}
    both = Measures.load(**names, structure=names["dino"])
    assert both.structure is both.dino
    measures.to("cpu")
    assert all(p.device.type == "cpu" for module in measures.modules().values() for p in module.parameters())
    assert not any(p.requires_grad for module in measures.modules().values() for p in module.parameters())


def test_a_network_of_its_own_for_the_structure(names, tmp_path):
    other = Measures.load(dino=names["dino"], structure=vit_folder(tmp_path), device="cpu")
    assert other.modules().keys() == {"dino", "structure"}
    assert {"dino_source", "structure_source"} <= other(photo(), changed(photo())).keys()


def test_what_cannot_be_measured_says_why(measures):
    a = photo()
    with pytest.raises(ValueError, match="give one RGB picture"):
        measures(a, a[None])
    with pytest.raises(ValueError, match="target has the shape"):
        measures(a, a, target=a[..., :1])
    with pytest.raises(ValueError, match="mask of this picture"):
        measures(a, a, mask=mask_of(a)[:50])
    with pytest.raises(ValueError, match="at least 11"):
        Measures()(a[:8, :8], a[:8, :8])
    with pytest.raises(ValueError, match="at least 31"):
        measures(a[:20, :20], a[:20, :20])
