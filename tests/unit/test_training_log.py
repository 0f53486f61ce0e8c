"""The log of a run and its curves."""

import json
from pathlib import Path

import pytest

from ip2p.training import curves
from ip2p.training.log import NAME, Log, lines
from ip2p.training.loop import Progress


def steps(log: Log, first: int, last: int, of: int = 100) -> None:
    for step in range(first, last + 1):
        log.step(Progress(step, of, 1 / step, 1e-4, 4 * step, 0.5))


def test_a_line_is_the_mean_of_the_steps_since_the_last(tmp_path: Path) -> None:
    log = Log(tmp_path, 0, 4, 10)
    steps(log, 1, 25, of=25)
    found = lines(tmp_path)
    assert [line["step"] for line in found] == [10, 20, 25]
    assert found[0] == {"step": 10, "loss": pytest.approx(sum(1 / n for n in range(1, 11)) / 10), "rate": 1e-4, "images_per_s": 8.0}


def test_a_step_is_never_logged_twice_however_often_the_run_stops(tmp_path: Path) -> None:
    log = Log(tmp_path, 0, 4, 5)
    steps(log, 1, 17)
    log.validated(17, {"right": 0.5})
    with (tmp_path / NAME).open("a") as file:
        file.write('{"step": 20, "lo')  # a kill in the middle of a line
    again = Log(tmp_path, 10, 4, 5)
    assert [line["step"] for line in lines(tmp_path)] == [5, 10]
    steps(again, 11, 20)
    assert [line["step"] for line in lines(tmp_path)] == [5, 10, 15, 20]
    assert all(json.loads(text) for text in (tmp_path / NAME).read_text().splitlines())


def test_steps_that_were_left_out_are_no_loss(tmp_path: Path) -> None:
    log = Log(tmp_path, 0, 4, 2)
    for step, loss in ((1, float("nan")), (2, 3.0), (3, float("nan")), (4, float("nan"))):
        log.step(Progress(step, 9, loss, 0.1, step, 1.0))
    assert [line["loss"] for line in lines(tmp_path)] == [3.0, None]
    assert curves.series(lines(tmp_path), "loss") == ([2], [3.0])


def test_tensorboard_gets_the_same_numbers(tmp_path: Path) -> None:
    log = Log(tmp_path, 0, 4, 2, tensorboard=True)
    steps(log, 1, 4)
    log.validated(4, {"right": 0.5})
    log.close()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [(event.step, event.value) for event in board.Scalars("train/loss")] == [(2, 0.75), (4, pytest.approx(7 / 24))]
    assert board.Scalars("validation/right")[0].value == 0.5


def test_the_curves_hold_loss_shares_and_distances(tmp_path: Path) -> None:
    log = Log(tmp_path, 0, 4, 1)
    for step in range(1, 41):
        steps(log, step, step)
        if step % 10 == 0:
            log.validated(step, {"right": step / 40, "lpips_target": 1 / step, "right 7.5/1.5": step / 40})
    figure = curves.figure(lines(tmp_path))
    assert [axes.get_legend().get_texts()[-1].get_text() for axes in figure.axes] == ["loss, smoothed", "right", "LPIPS to the answer"]
    assert list(figure.axes[1].lines[0].get_ydata()) == [0.25, 0.5, 0.75, 1.0]
    assert figure.axes[0].get_yscale() == "log"
    assert curves.write(tmp_path).read_bytes()[:4] == b"\x89PNG"
    picture = curves.curves(tmp_path)
    assert picture.shape[2] == 3
    assert 0 <= float(picture.min()) < float(picture.max()) <= 1


def test_smoothing_keeps_the_mean_and_takes_the_jumps() -> None:
    jumping = [1.0, 3.0] * 50
    calm = curves.smoothed(jumping, 0.1)
    assert max(calm[5:-5]) - min(calm[5:-5]) < 0.25
    assert curves.smoothed([1.0, 2.0], 0.05) == [1.0, 2.0]


def test_nothing_to_draw_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no loss in this run's log yet"):
        curves.curves(tmp_path)
