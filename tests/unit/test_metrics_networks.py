"""CLIP and ViT features: small random models in folders, against transformers' own preparation and forward pass, and torchmetrics."""

import copy
import logging
import shutil

import pytest
import torch
import torch.nn.functional as F
from metric_models import SIZE, changed, clip_folder, dinov2_folder, photo, siglip_folder, vit_folder
from safetensors.torch import load_file, save_file
from torchmetrics.multimodal import CLIPScore
from transformers import AutoImageProcessor, AutoModel, CLIPModel, CLIPProcessor

from ip2p.metrics import pretrained, similarity
from ip2p.metrics.clip import DEVIATION, MEAN, Clip
from ip2p.metrics.dino import Dino
from ip2p.pictures import to_pil

TEXTS = ["a house by a lake", "a red house"]
LONG = " ".join(["a very long story about a house"] * 40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return clip_folder(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    return vit_folder(tmp_path_factory.mktemp("vit"))


def tensor(features):
    return features if isinstance(features, torch.Tensor) else features.pooler_output


def eight_bit(picture):
    return (picture * 255).round() / 255


def unit(features):
    return features / features.norm(dim=-1, keepdim=True)


@torch.no_grad()
def test_clip_against_transformers_own_processor_and_forward(folder):
    pictures = torch.stack([eight_bit(photo(name)) for name in ("china.jpg", "flower.jpg")])
    given = CLIPProcessor.from_pretrained(folder)(
        text=TEXTS, images=[to_pil(x) for x in pictures], return_tensors="pt", padding="max_length", max_length=77
    )
    theirs = CLIPModel.from_pretrained(folder).eval()(**given)
    ours = Clip.load(folder, device="cpu", crop=True)
    images, texts = ours(pictures), ours.texts(TEXTS)
    torch.testing.assert_close(texts, theirs.text_embeds, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(images, theirs.image_embeds, atol=2e-3, rtol=0)  # theirs rounds the resized picture to 8 bits
    small = [eight_bit(F.interpolate(x.movedim(-1, 1)[None][0], (SIZE, SIZE)).movedim(1, -1)) for x in pictures[:, None]]
    given = CLIPProcessor.from_pretrained(folder).image_processor([to_pil(x[0]) for x in small], return_tensors="pt")
    theirs = CLIPModel.from_pretrained(folder).eval().get_image_features(**given)
    theirs = unit(tensor(theirs))
    torch.testing.assert_close(ours(torch.cat(small)), theirs, atol=1e-6, rtol=1e-5)


class Unwrapped(CLIPModel):
    """Gives features as torchmetrics expects them: transformers 5 wraps them in an output, 4 did not."""

    def get_image_features(self, *args, **more):
        return tensor(super().get_image_features(*args, **more))

    def get_text_features(self, *args, **more):
        return tensor(super().get_text_features(*args, **more))


@torch.no_grad()
def test_clip_text_similarity_against_torchmetrics(folder):
    picture = eight_bit(photo()[:, :96])
    theirs = CLIPScore(model_name_or_path=lambda: (Unwrapped.from_pretrained(folder).eval(), CLIPProcessor.from_pretrained(folder)))
    ours = Clip.load(folder, device="cpu", crop=True)
    for text in (*TEXTS, "snow", "a cat"):
        score = 100 * float(similarity.cosine(ours(picture[None]), ours.texts([text])))
        assert max(score, 0) == pytest.approx(float(theirs(to_pil_tensor(picture), text)), abs=0.2)


def to_pil_tensor(picture):
    return (picture * 255).round().to(torch.uint8).permute(2, 0, 1)


@torch.no_grad()
def test_paper_compat_against_a_plain_reimplementation(folder):
    a, b = photo()[None], changed(photo())[None]
    model = CLIPModel.from_pretrained(folder).eval()

    def encode(image):  # the authors' wrapper, given what their evaluation gives it
        image = F.interpolate((image.permute(0, 3, 1, 2) * 2 - 1).float(), size=SIZE, mode="bicubic", align_corners=False)
        image = (image - torch.tensor(MEAN).reshape(1, 3, 1, 1)) / torch.tensor(DEVIATION).reshape(1, 3, 1, 1)
        return unit(model.visual_projection(model.vision_model(pixel_values=image).pooler_output))

    ours = Clip.load(folder, "paper_compat", "cpu")
    torch.testing.assert_close(ours(torch.cat([a, b])), torch.cat([encode(a), encode(b)]), atol=1e-6, rtol=1e-5)
    assert (ours(a) - Clip.load(folder, device="cpu")(a)).abs().max() > 1e-3


@torch.no_grad()
def test_texts_do_not_depend_on_neighbours_and_are_cut(folder):
    clip = Clip.load(folder, device="cpu")
    together = clip.texts([*TEXTS, LONG])
    torch.testing.assert_close(together[:1], clip.texts(TEXTS[:1]), atol=1e-6, rtol=1e-5)
    assert len(clip.tokens([LONG])["input_ids"][0]) == 77
    torch.testing.assert_close(together[2:], clip.texts([LONG + " and a boat"]))
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(3))


@torch.no_grad()
def test_a_siglip_reads_its_padding(tmp_path):
    clip = Clip.load(siglip_folder(tmp_path), device="cpu")
    assert clip.tokens(["a"]).keys() == {"input_ids"}
    assert len(clip.tokens(["a"])["input_ids"][0]) == 16
    features = clip(torch.stack([photo(), changed(photo())]))
    assert features.shape == (2, 32)
    torch.testing.assert_close(clip.texts(TEXTS).norm(dim=-1), torch.ones(2))
    assert (clip.mean, clip.deviation) == (MEAN, DEVIATION)


@torch.no_grad()
def test_a_batch_is_its_singles(folder, vit):
    pictures = torch.stack([photo(), changed(photo()), photo("coffee.jpg")])
    dino = Dino.load(vit, "cpu")
    for extract in (Clip.load(folder, device="cpu"), dino, dino.keys):
        torch.testing.assert_close(extract(pictures), torch.cat([extract(x[None]) for x in pictures]), atol=2e-6, rtol=1e-5)


@torch.no_grad()
def test_class_token_against_transformers(vit):
    picture = eight_bit(F.interpolate(photo().movedim(-1, 0)[None], (SIZE, SIZE), mode="area")[0].movedim(0, -1))
    prepared = AutoImageProcessor.from_pretrained(vit)(to_pil(picture), return_tensors="pt", do_resize=False)
    theirs = AutoModel.from_pretrained(vit).eval()(**prepared).last_hidden_state[:, 0]
    dino = Dino.load(vit, "cpu", crop=False)
    assert dino.mean == (0.4, 0.5, 0.6)
    torch.testing.assert_close(dino(picture[None]), theirs, atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["vit", "dinov2"])
def test_keys_against_the_last_layer_by_hand(vit, tmp_path, kind):
    name = vit if kind == "vit" else dinov2_folder(tmp_path)
    dino = Dino.load(name, "cpu")
    dino.size = 28 if kind == "dinov2" else SIZE
    picture = photo()[None]
    height = dino.size // dino.patch
    width = int(128 * dino.size / 96) // dino.patch
    prepared = F.interpolate(picture.movedim(-1, 1), (height * dino.patch, width * dino.patch), mode="bilinear", antialias=True)
    prepared = (prepared - torch.tensor(dino.mean).view(1, 3, 1, 1)) / torch.tensor(dino.deviation).view(1, 3, 1, 1)
    more = {"interpolate_pos_encoding": True} if kind == "vit" else {}
    hidden = dino.model(pixel_values=prepared, output_hidden_states=True, **more).hidden_states[-2]
    norm = next(m for n, m in dino.model.named_modules() if ".1." in f"{n}." and n.endswith(("layernorm_before", "norm1")))
    key = next(m for n, m in dino.model.named_modules() if ".1." in f"{n}." and n.endswith(("k_proj", "key")))
    keys = dino.keys(picture)
    assert keys.shape == (1, 1 + height * width, 32)
    torch.testing.assert_close(keys, key(norm(hidden)), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_pie_compat_is_the_same_on_pictures_in_0_to_255(vit):
    plain, compat = Dino.load(vit, "cpu"), Dino.load(vit, "cpu", structure_range="pie_compat")
    torch.testing.assert_close(compat.keys(photo()[None]), plain.keys(photo()[None] * 255))
    torch.testing.assert_close(compat(photo()[None]), plain(photo()[None]))


def test_similarities_in_closed_form():
    x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    assert similarity.cosine(x, y).item() == 0
    assert similarity.cosine(x, -3 * x).item() == pytest.approx(-1)
    assert similarity.cosine(x, 0 * x).item() == 0
    assert similarity.direction(x, y, x, y).item() == pytest.approx(1)
    assert similarity.direction(x, y, y, x).item() == pytest.approx(-1)
    assert similarity.direction(x, x, x, y).item() == 0
    same, orthogonal = torch.ones(1, 2, 3), torch.eye(3)[None, :2]
    assert similarity.structure_distance(same, orthogonal).item() == pytest.approx(0.5)  # two of four entries differ by 1
    assert similarity.structure_distance(orthogonal, 5 * orthogonal).item() == pytest.approx(0)
    with pytest.raises(ValueError, match="one size"):
        similarity.structure_distance(same, torch.ones(1, 3, 3))


def test_structure_distance_against_the_published_formula():
    torch.manual_seed(0)
    a, b = torch.randn(2, 1, 10, 8).unbind(0)

    def similarities(keys):
        norm = keys.norm(dim=2, keepdim=True)
        return keys @ keys.permute(0, 2, 1) / torch.clamp(norm @ norm.permute(0, 2, 1), min=1e-8)

    assert similarity.structure_distance(a, b).item() == pytest.approx(F.mse_loss(similarities(a), similarities(b)).item(), rel=1e-5)


def test_a_cropped_square_is_the_middle():
    picture = torch.zeros(1, 3, 32, 64)
    picture[..., 16:48] = 1
    assert (pretrained.squared(picture, 32, crop=True) == 1).all()
    assert not (pretrained.squared(picture, 32, crop=False) == 1).all()
    assert pretrained.squared(picture, 28, crop=True, scale=32 / 28).shape == (1, 3, 28, 28)


def test_identity_follows_weights_and_settings(folder):
    first = Clip.load(folder, device="cpu")
    other = copy.deepcopy(first.model)
    assert Clip(other, first.tokenizer).identity == first.identity
    assert Clip(other, first.tokenizer, input_range="paper_compat").identity != first.identity
    with torch.no_grad():
        other.visual_projection.weight[0, 0] += 1e-4
    assert Clip(other, first.tokenizer).identity != first.identity


def without_weights(place):
    state = load_file(place / "model.safetensors")
    save_file({name: x for name, x in state.items() if "visual_projection" not in name}, place / "model.safetensors", {"format": "pt"})


def without_tokenizer(place):
    for file in place.glob("*token*"):
        file.unlink()


BROKEN = {
    (lambda place: (place / "model.safetensors").write_bytes(b"version https://git-lfs")): "can't be loaded as a CLIP",
    without_weights: r"lacks 1 of its weights \(visual_projection.weight\): download the whole folder",
    without_tokenizer: "without the tokenizer of its text tower",
    (lambda place: (place / "preprocessor_config.json").write_text("{")): "a broken preprocessor_config.json",
    (lambda place: (place / "preprocessor_config.json").write_text('{"image_std": [0]}')): "not three numbers",
}
"""What may happen to a model's folder, none of which may end in numbers."""


def test_what_cannot_be_loaded_says_why(folder, vit, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    caplog.set_level(logging.CRITICAL)
    with pytest.raises(ValueError, match=r"config\.json"):
        Clip.load(str(tmp_path), device="cpu")
    with pytest.raises(ValueError, match="ViTModel, not a CLIP"):
        Clip.load(vit, device="cpu")
    with pytest.raises(ValueError, match="CLIPModel, not a ViT"):
        Dino.load(folder, "cpu")
    with pytest.raises(ValueError, match="check the name"):
        Clip.load("nobody/no-such-clip", device="cpu")
    weightless = shutil.copytree(vit, tmp_path / "weightless", ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(ValueError, match="download the whole folder"):
        Dino.load(str(weightless), "cpu")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="can't be loaded as a DINO"):
        Dino.load(str(tmp_path), "cpu")
    for change, reason in BROKEN.items():
        place = shutil.copytree(folder, tmp_path / str(len(list(tmp_path.iterdir()))))
        change(place)
        with pytest.raises(ValueError, match=reason):
            Clip.load(str(place), device="cpu")
    with pytest.raises(ValueError, match="input range 'wrong'"):
        Clip.load(folder, "wrong", "cpu")
    with pytest.raises(ValueError, match="structure range 'wrong'"):
        Dino.load(vit, "cpu", structure_range="wrong")
    with pytest.raises(ValueError, match="device 'abacus'"):
        Clip.load(folder, device="abacus")
