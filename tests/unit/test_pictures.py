"""Pictures of every common kind come in upright, in sRGB, as (1, H, W, 3) in [0, 1]; results go out whole or not at all."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from ip2p.pictures import from_pil, open_picture, picture_format, save_picture


def ramp(width=6, height=4):
    return np.linspace(0, 255, width * height * 3).astype(np.uint8).reshape(height, width, 3)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "1", "YCbCr", "HSV", "LAB"])
def test_modes_are_converted_and_alpha_is_dropped(mode):
    image = Image.fromarray(ramp()).convert("RGB") if mode == "RGB" else Image.fromarray(ramp()).convert("L" if mode == "LA" else "RGB")
    if mode == "LAB":
        image = ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB")
    tensor = from_pil(image.convert(mode))
    assert tensor.shape == (1, 4, 6, 3)
    assert tensor.dtype == torch.float32
    assert 0 <= tensor.min() <= tensor.max() <= 1


def test_transparent_pixels_keep_their_colour():
    pixels = np.concatenate([ramp(), np.zeros((4, 6, 1), np.uint8)], axis=2)
    assert torch.equal(from_pil(Image.fromarray(pixels, "RGBA"))[0], torch.from_numpy(ramp() / np.float32(255)))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((2, 2), 65535, np.uint16), 1.0),
        (np.full((2, 2), 32768, np.uint16), 0.5),
        (np.full((2, 2), 40000, np.int32), 0.61),
        (np.full((2, 2), 100, np.int32), 0.39),
        (np.full((2, 2), 0.25, np.float32), 0.25),
        (np.full((2, 2), 51.0, np.float32), 0.2),
        (np.full((2, 2), np.nan, np.float32), 0.0),
    ],
)
def test_deep_grey_pictures(array, expected):
    tensor = from_pil(Image.fromarray(array))
    assert tensor.shape == (1, 2, 2, 3)
    assert tensor.mean().item() == pytest.approx(expected, abs=0.01)


def test_sixteen_bit_files(tmp_path):
    Image.fromarray(np.full((2, 2), 32768, np.uint16)).save(tmp_path / "deep.png")
    assert open_picture(tmp_path / "deep.png").mean().item() == pytest.approx(0.5, abs=0.01)


def test_pictures_stand_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.fromarray(ramp()).save(tmp_path / "turned.png", exif=exif)
    assert torch.equal(open_picture(tmp_path / "turned.png")[0], torch.from_numpy(np.rot90(ramp(), -1) / np.float32(255)))


def test_other_colour_spaces_become_srgb_and_broken_profiles_are_ignored(tmp_path):
    image = Image.fromarray(ramp())
    image.save(tmp_path / "srgb.png", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert (open_picture(tmp_path / "srgb.png")[0] * 255 - torch.from_numpy(ramp())).abs().max() <= 1.001
    image.save(tmp_path / "broken.png", icc_profile=b"not a profile")
    assert torch.equal(open_picture(tmp_path / "broken.png")[0], torch.from_numpy(ramp() / np.float32(255)))


@pytest.mark.parametrize("content", [b"", b"hello", b"<html></html>"])
def test_what_is_no_picture_is_named(tmp_path, content):
    (tmp_path / "photo.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=r"photo\.jpg is not a readable picture: choose a whole JPEG"):
        open_picture(tmp_path / "photo.jpg")


def test_half_a_picture_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    whole = (tmp_path / "photo.png").read_bytes()
    (tmp_path / "photo.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="not a readable picture"):
        open_picture(tmp_path / "photo.png")
    with pytest.raises(ValueError, match="no picture at"):
        open_picture(tmp_path / "nowhere.png")


def test_saving_makes_the_folder_and_leaves_nothing_beside(tmp_path):
    picture = torch.from_numpy(ramp() / np.float32(255))
    save_picture(picture, tmp_path / "new" / "deep" / "out.png")
    assert [path.name for path in (tmp_path / "new" / "deep").iterdir()] == ["out.png"]
    assert torch.equal(open_picture(tmp_path / "new" / "deep" / "out.png")[0], picture)


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.webp", "WEBP"), ("a.tiff", "TIFF")])
def test_endings(tmp_path, name, kind):
    assert picture_format(tmp_path / name) == kind
    save_picture(torch.rand(8, 8, 3), tmp_path / name)
    assert Image.open(tmp_path / name).format == kind


@pytest.mark.parametrize("name", ["out", "out.txt", "out.pdf", ""])
def test_unknown_endings_are_named(tmp_path, name):
    with pytest.raises(ValueError, match="no ending of a picture format"):
        save_picture(torch.rand(8, 8, 3), tmp_path / name)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match="can't be written"):
        save_picture(torch.rand(8, 8, 3), tmp_path / "file" / "out.png")
