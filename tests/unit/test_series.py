"""Chains and variations without a host: what they are in terms of single edits, with tiny random networks."""

import pytest
import tiny
import torch
from PIL import Image

from ip2p import chain as chains
from ip2p import cli, fit, series_sheet, tiles
from ip2p.checkpoint import Checkpoint, write
from ip2p.edit import Editor
from ip2p.pictures import open_picture
from ip2p.stages import Stage, parse, scales_of, seed_of
from ip2p.variations import seeds, variations

CPU = torch.device("cpu")
SETTINGS = {name: str(value) for name, value in tiny.SETTINGS.items()}
COSXL = {"edm_vpred.sigma_max": torch.tensor(120.0), "edm_vpred.sigma_min": torch.tensor(0.002)}


@pytest.fixture(scope="module")
def editor():
    return Editor.build(Checkpoint(tiny.ldm(), "sd15", "only", SETTINGS), CPU)


@pytest.fixture(scope="module")
def photo():
    return torch.rand(1, 90, 130, 3, generator=torch.Generator().manual_seed(9))


class TestLines:
    def test_a_line_is_a_stage_and_empty_lines_are_skipped(self):
        assert parse("make it snow\n\n   \n make it night \n") == [Stage("make it snow"), Stage("make it night")]
        assert parse(" \n") == []

    @pytest.mark.parametrize("settings", ["text 5 image 1.2 seed 7", "seed=7, image=1.2, text=5", "image 1.2 seed 7 text 5.0"])
    def test_a_line_sets_its_own_scales_and_seed(self, settings):
        assert parse(f"make it night | {settings}") == [Stage("make it night", 5.0, 1.2, 7)]

    def test_what_a_line_does_not_set_is_the_chains(self):
        assert parse("a | image 2") == [Stage("a", None, 2.0, None)]
        assert scales_of(Stage("a", None, 2.0), 7.5, 1.5) == (7.5, 2.0)

    @pytest.mark.parametrize(
        ("line", "sentence"),
        [
            ("| text 5", "no instruction before"),
            ("a |", "has '' after"),
            ("a | strength 3", "has 'strength 3' after"),
            ("a | text five", "scales are numbers"),
            ("a | seed 1.5", "a seed is a whole number"),
            ("a | text -1", "at least 0"),
            ("a | image nan", "at least 0"),
            (f"a | seed {2**64}", "a seed below"),
        ],
    )
    def test_other_settings_are_answered_by_a_sentence(self, line, sentence):
        with pytest.raises(ValueError, match=sentence) as told:
            parse(f"fine\n{line}")
        assert str(told.value).startswith("Line 2 ")

    def test_every_stage_has_a_seed_of_its_own(self):
        stages = parse("a\nb\nc | seed 3\nd")
        assert [seed_of(stages, number, 2**64 - 1) for number in range(4)] == [2**64 - 1, 0, 3, 2]


class TestChain:
    def test_one_instruction_is_a_plain_edit(self, editor, photo):
        (once,) = chains.chain(editor, photo, parse("make it snow"), steps=3, seed=5)
        assert torch.equal(once, editor.edit(photo, "make it snow", steps=3, seed=5))

    @pytest.mark.parametrize("family", ["sd15", "cosxl"])
    def test_two_are_two_edits_whose_latent_is_handed_on(self, editor, photo, family):
        if family == "cosxl":
            editor = Editor.build(Checkpoint(tiny.wide_ldm() | COSXL, family, "only", SETTINGS), CPU)
        made = chains.chain(editor, photo, parse("make it snow\nmake it night | text 3 image 1.2"), steps=2, seed=5)
        how = fit.plan(130, 90, editor.size)
        with torch.no_grad():
            first = editor.sample(editor.told("make it snow", "", editor.encode(fit.apply(photo, how))), 2, 5, 7.5, 1.5)
            mode = first / editor.latent_scale
            picture = mode * 0.13025 if family == "cosxl" else mode
            second = editor.sample(editor.told("make it night", "", picture), 2, 6, 3.0, 1.2)
            assert torch.equal(made[1], fit.restore(editor.decode(second), how, photo))
        assert torch.equal(made[0], editor.edit(photo, "make it snow", steps=2, seed=5))
        assert not torch.equal(made[1], editor.edit(made[0], "make it night", steps=2, seed=6, text_scale=3.0, image_scale=1.2))

    def test_pictures_handed_on_are_plain_edits(self, editor, photo):
        made = chains.chain(editor, photo, parse("make it snow\nmake it night"), steps=2, seed=5, between="picture")
        assert torch.equal(made[1], editor.edit(made[0], "make it night", steps=2, seed=6))
        with pytest.raises(ValueError, match="hand on 'pixels'; choose latent or picture"):
            chains.chain(editor, photo, parse("a"), between="pixels")

    def test_steps_are_counted_over_all_stages(self, editor, photo):
        seen = []
        chains.chain(editor, photo, parse("a\nb"), steps=2, on_step=lambda done, total, latent: seen.append((done, total)))
        assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]

    def test_no_instructions_make_nothing(self, editor, photo):
        assert chains.chain(editor, photo, []) == []

    def test_speed_is_that_of_an_edit(self, editor, photo):
        (once,) = chains.chain(editor, photo, parse("make it snow"), steps=6, seed=5, speed="fast")
        assert torch.equal(once, editor.edit(photo, "make it snow", steps=6, seed=5, speed="fast"))
        assert not torch.equal(once, editor.edit(photo, "make it snow", steps=6, seed=5))


class TestVariations:
    @pytest.mark.parametrize("sampler", ["euler", "euler_ancestral"])
    def test_each_is_the_edit_of_its_seed(self, editor, photo, sampler):
        made = variations(editor, photo, "make it night", 5, steps=3, seed=7, sampler=sampler, at_once=2)
        assert made.shape == (5, 90, 130, 3)
        for seed, one in zip(range(7, 12), made, strict=True):
            alone = editor.edit(photo, "make it night", steps=3, seed=seed, sampler=sampler)
            assert (one - alone[0]).abs().max() < 1e-4
        assert (made[0] - made[1]).abs().mean() > 1e-3

    def test_progress_counts_every_step_of_every_one(self, editor, photo):
        seen = []
        variations(editor, photo, "a", 3, steps=2, at_once=2, on_step=lambda done, total, latent: seen.append((done, total)))
        assert seen == [(2, 6), (4, 6), (5, 6), (6, 6)]

    @pytest.mark.parametrize("count", [0, -1, 1001])
    def test_an_impossible_count_is_named(self, count):
        with pytest.raises(ValueError, match=f"number of variations is {count}; use 1 to 1000"):
            seeds(0, count)

    def test_seeds_begin_again_after_the_largest(self):
        assert seeds(2**64 - 2, 3) == [2**64 - 2, 2**64 - 1, 0]


def test_sheets_hold_every_picture(photo):
    wide = series_sheet.variations_sheet("make it night", list(range(8)), photo.expand(8, -1, -1, -1), cell=64)
    assert wide.shape[0] < wide.shape[1] < 5 * 64 + 200  # two rows of four
    tall = series_sheet.chain_sheet(photo[0], [Stage("a")] * 3, list(photo.expand(3, -1, -1, -1)), cell=64)
    assert tall.shape[1] > 4 * 64


class TestLargePictures:
    """Small tiles stand for large pictures: what counts is how many tiles there are."""

    @pytest.fixture(autouse=True)
    def small_tiles(self, monkeypatch):
        monkeypatch.setattr(tiles, "TILE", 192)
        monkeypatch.setattr(tiles, "OVERLAP", 64)

    def test_tiles_are_near_the_whole(self, editor, monkeypatch):
        """On an even texture, where a tile's statistics are the whole's."""
        texture = torch.rand(1, 256, 320, 3, generator=torch.Generator().manual_seed(3))
        whole = editor.mode(texture), editor.decode(editor.mode(texture) * editor.latent_scale)
        monkeypatch.setattr(tiles, "LARGEST_WHOLE", 192 * 192)
        tiled = editor.mode(texture), editor.decode(whole[0] * editor.latent_scale)
        for one, other in zip(whole, tiled, strict=True):
            assert other.isfinite().all()
            assert not torch.equal(one, other)
            assert (one - other).abs().mean() < 0.25 * one.std()  # two textures that have nothing in common differ by 1.1

    def test_an_edit_of_a_large_picture_is_whole_and_finite(self, editor, monkeypatch):
        monkeypatch.setattr(tiles, "LARGEST_WHOLE", 192 * 192)
        edited = editor.edit(torch.rand(1, 150, 330, 3), "make it night", steps=1, size=320)
        assert edited.shape == (1, 150, 330, 3)
        assert edited.isfinite().all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photo):
    """A folder with a tiny editor and a photo."""
    folder = tmp_path_factory.mktemp("series")
    write(folder / "tiny.safetensors", tiny.ldm(), tiny.SETTINGS | {"steps": 2})
    Image.fromarray((photo[0] * 255).byte().numpy()).save(folder / "photo.png")
    return folder


class TestCommands:
    def run(self, folder, *arguments):
        return cli.main([arguments[0], str(folder / "photo.png"), *arguments[1:], "--model", str(folder / "tiny.safetensors")])

    def test_variations_are_written_with_their_seeds(self, folder, editor, capsys):
        out = folder / "v"
        assert self.run(folder, "variations", "make it night", "--count", "3", "--seed", "4", "--out", str(out)) == 0
        assert sorted(path.name for path in out.iterdir()) == ["seed_4.png", "seed_5.png", "seed_6.png", "sheet.png"]
        assert capsys.readouterr().out.split() == [str(out / f"seed_{n}.png") for n in (4, 5, 6)] + [str(out / "sheet.png")]
        alone = editor.edit(open_picture(folder / "photo.png"), "make it night", steps=2, seed=5)
        assert (open_picture(out / "seed_5.png") - alone).abs().max() <= 0.51 / 255

    def test_a_chain_is_written_with_its_stages_and_moves(self, folder, capsys):
        out = folder / "c"
        assert self.run(folder, "chain", "make it snow", "make it night | seed 3", "--out", str(out), "--seconds", "0.5") == 0
        assert sorted(path.name for path in out.iterdir()) == ["1.png", "2.png", "chain.webp", "sheet.png"]
        with Image.open(out / "chain.webp") as film:
            assert (film.n_frames, film.size) == (3, (130, 90))
            film.seek(1)
            film.load()
            assert film.info["duration"] == 500

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [(("variations", "a", "--count", "0"), "number of variations is 0"), (("chain", "a | b"), "Line 1 has 'b'")],
    )
    def test_mistakes_are_answered_by_a_sentence(self, folder, capsys, arguments, sentence):
        assert self.run(folder, *arguments) == 2
        assert sentence in capsys.readouterr().err
