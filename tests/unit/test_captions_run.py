"""Runs from captions to a file: the same bytes however often they are stopped, and mistakes told in a sentence."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from ip2p.captions import files
from ip2p.captions.filters import Filters
from ip2p.captions.grammar.source import Grammar
from ip2p.captions.plain import of_the_world
from ip2p.captions.run import Report, kept, make, proposals, report_file
from ip2p.captions.source import Refused
from ip2p.cli import main

WHO = ("a man", "a little girl", "an old woman", "a brown dog", "a black cat", "two boys", "a white horse", "three children")
DOES = ("running on the beach with a red ball", "sitting on a wooden bench in the park", "next to a blue car in the snow")
CAPTIONS = [f"{who} {does}" for who in WHO for does in (*DOES, "playing in the grass in front of a house", "in a red hat near a river")]


def everything():
    return iter(CAPTIONS)


class Stopping(Grammar):
    """The grammar, which breaks after some captions."""

    batch = 7

    def __init__(self, after):
        super().__init__()
        self.left = after

    def ask(self, captions, count, seed):
        for answer in super().ask(captions, count, seed):
            if not self.left:
                raise ValueError("the server is gone")
            self.left -= 1
            yield answer


def run(out, source, captions=everything, **settings):
    return make(captions, source, settings.get("count", 2), settings.get("seed", 0), settings.get("filters", Filters()), out)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "a.jsonl"
    return out, run(out, Grammar())


def test_a_run_makes_what_it_reports(whole):
    out, report = whole
    triplets = list(files.read(out))
    assert report.captions == 40
    assert report.triplets == len(triplets) == sum(report.kinds.values()) >= 75
    assert report.triplets + sum(report.rejected.values()) == 80
    assert {triplet.source for triplet in triplets} == {"grammar"}
    assert sorted(path.name for path in out.parent.iterdir()) == ["a.jsonl", "a.jsonl.json"]
    assert json.loads(report_file(out).read_text(encoding="utf8"))["report"]["triplets"] == report.triplets
    assert report.lines()[0] == f"{report.triplets} triplets of 40 captions"


@pytest.mark.parametrize("after", [0, 1, 6, 7, 8, 39])
def test_a_run_that_broke_goes_on_to_the_same_bytes(whole, tmp_path, after):
    out = tmp_path / "a.jsonl"
    with pytest.raises(ValueError, match="the server is gone"):
        run(out, Stopping(after))
    assert not out.exists()
    torn = out.with_name(".a.jsonl.answers")
    with torn.open("ab") as file:
        file.write(b'[{"type": "Triplet", "cap')  # as a kill in the middle of a write leaves it
    asked = []
    report = make(everything, Grammar(), 2, 0, Filters(), out, lambda number, answer: asked.append(number))
    assert asked == list(range(after + 1, 41)), "what was answered is not asked again"
    assert out.read_bytes() == whole[0].read_bytes()
    assert report == whole[1]
    assert not torn.exists()


def test_killed_before_its_report_it_is_done_again(whole, tmp_path):
    out = tmp_path / "a.jsonl"
    with pytest.raises(ValueError, match="gone"):
        run(out, Stopping(39))
    out.write_bytes(whole[0].read_bytes())
    assert run(out, Grammar()) == whole[1]
    assert out.read_bytes() == whole[0].read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "a.jsonl.json"]


def test_a_run_that_is_done_asks_nothing(whole):
    out, report = whole
    before = out.stat().st_mtime_ns
    assert run(out, Stopping(0)) == report
    assert out.stat().st_mtime_ns == before


def test_other_settings_are_refused(whole, tmp_path):
    out, _ = whole
    for settings in ({"count": 3}, {"seed": 1}, {"filters": Filters(likeness=0.5)}, {"captions": lambda: iter(CAPTIONS[:-1])}):
        with pytest.raises(ValueError, match="made with other settings"):
            run(out, Grammar(), **settings)
    with pytest.raises(ValueError, match=r"other settings \(kinds\)"):
        run(out, Grammar(["time"]))
    begun = tmp_path / "b.jsonl"
    with pytest.raises(ValueError, match="gone"):
        run(begun, Stopping(3))
    with pytest.raises(ValueError, match="of a run with other settings"):
        run(begun, Grammar(), seed=5)
    (tmp_path / "c.jsonl").write_text("mine", encoding="utf8")
    with pytest.raises(ValueError, match="no run of captions"):
        run(tmp_path / "c.jsonl", Grammar())
    with pytest.raises(ValueError, match="ask for 1 or more"):
        run(tmp_path / "d.jsonl", Grammar(), count=0)


def test_order_and_company_change_nothing():
    answers = dict(zip(CAPTIONS, proposals(CAPTIONS, Grammar(), 3, 5), strict=True))
    backwards = dict(zip(CAPTIONS[::-1], proposals(CAPTIONS[::-1], Stopping(40), 3, 5), strict=True))
    assert answers == backwards


def test_what_is_kept_in_memory_is_counted_too():
    found, report = kept([[], [Refused("a", "no answer")], next(Grammar().ask(["a dog on the beach"], 2, 0))], Filters())
    assert len(found) == 2
    assert report == Report(3, 2, {triplet.kind: 1 for triplet in found}, {"no answer": 1})
    assert "rejected, no answer: 1" in report.lines()[-1]


def call(capsys, *arguments):
    code = main(["captions", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_command_makes_triplets_of_texts(capsys, tmp_path):
    out, log = tmp_path / "a.parquet", tmp_path / "log.jsonl"
    arguments = ("--text", "a dog on the beach", "--text", "a cat on a red chair", "-k", 2, "--out", out, "--json", "--log", log)
    code, said, _ = call(capsys, *arguments)
    assert code == 0
    assert json.loads(said)["triplets"] == 4
    assert [triplet.caption for triplet in files.read(out)] == ["a dog on the beach"] * 2 + ["a cat on a red chair"] * 2
    lines = [json.loads(line) for line in log.read_text(encoding="utf8").splitlines()]
    assert [line["caption"] for line in lines] == [1, 2]
    assert lines[0]["answer"][0]["caption"] == "a dog on the beach"


def test_the_command_reads_files_and_chooses_kinds(capsys, tmp_path):
    source, out = tmp_path / "in.txt", tmp_path / "a.jsonl"
    source.write_bytes(b"a dog on the beach\n\xff\na cat on the beach\na cow on the beach\n")
    code, _, told = call(capsys, source, "--kinds", "time, recolour", "--limit", 2, "--out", out, "--skip-bad")
    assert code == 0
    assert "skipped: in.txt, line 2, is no UTF-8 text" in told
    assert [triplet.caption for triplet in files.read(out)] == ["a dog on the beach", "a cat on the beach"]
    assert {triplet.kind for triplet in files.read(out)} <= {"time", "recolour"}
    assert call(capsys, source, "--out", tmp_path / "b.jsonl")[0] == 2, "a bad line stops where it isn't skipped"


def test_the_command_filters_as_asked(capsys, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("beach\n", encoding="utf8")
    twice = ["--text", "a dog on the beach", "--text", "a dog on the beach"]
    code, said, _ = call(capsys, *twice, "--out", tmp_path / "a.jsonl", "--unsafe-words", words, "--kinds", "time")
    assert code == 0
    assert "rejected, unsafe: 2" in said
    code, said, _ = call(capsys, *twice, "--out", tmp_path / "b.jsonl", "--json", "--keep", "duplicate,near duplicate")
    assert json.loads(said)["triplets"] == 2


def test_the_command_writes_the_hand_written_ones(capsys, tmp_path):
    code, said, _ = call(capsys, "--source", "human", "--out", tmp_path / "a.jsonl", "--json")
    assert code == 0
    assert json.loads(said)["triplets"] >= 200
    assert json.loads((tmp_path / "a.jsonl.json").read_text(encoding="utf-8"))["report"]["triplets"] == json.loads(said)["triplets"]
    code, said, _ = call(capsys, tmp_path / "a.jsonl", "--source", "human", "--limit", 5, "--out", tmp_path / "b.parquet", "--json")
    assert json.loads(said)["triplets"] == 5


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--text", "a dog"], "Missing --out"),
        (["--out", "a.jsonl"], "Name captions in one way, there are none"),
        (["--out", "a.jsonl", "--text", "a", "--world", "2"], "not --text and --world"),
        (["nothing.txt", "--out", "a.jsonl"], "There is no file nothing.txt"),
        (["--text", "a dog", "--out", "a.csv"], "neither .jsonl nor .parquet"),
        (["--text", "a dog", "--out", "a.jsonl", "--kinds", "magic"], "kind of edit 'magic' is unknown"),
        (["--text", "a dog", "--out", "a.jsonl", "--keep", "fun"], "no reason 'fun'"),
        (["--text", "a dog", "--out", "a.jsonl", "-k", "0"], "ask for 1 or more"),
    ],
)
def test_mistakes_are_told_in_a_sentence(capsys, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    code, _, said = call(capsys, *arguments)
    assert code == 2
    assert said.startswith("error: ")
    assert told in said
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_captions_is_told(capsys, tmp_path):
    (tmp_path / "empty.txt").write_text("\n \n")
    code, _, said = call(capsys, tmp_path / "empty.txt", "--out", tmp_path / "a.jsonl")
    assert code == 2
    assert "There are no captions in" in said
    assert [path.name for path in tmp_path.iterdir()] == ["empty.txt"]


def test_captions_of_the_world_are_the_same_for_a_number():
    assert list(of_the_world(3, 5)) == list(of_the_world(8))[5:]
    assert len(set(of_the_world(30))) > 25


@pytest.mark.whole
def test_killed_at_any_moment_it_comes_to_the_same_bytes(tmp_path):
    root = Path(__file__).resolve().parents[2]
    source = tmp_path / "in.txt"
    source.write_text("\n".join(f"a man with {n} dogs and a red umbrella on the beach" for n in range(1500)), encoding="utf8")

    def command(out):
        return [sys.executable, "-m", "ip2p", "captions", str(source), "-k", "3", "--out", str(out)]

    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    subprocess.run(command(whole), cwd=root, check=True, capture_output=True, timeout=300)
    answers = killed.with_name(".killed.jsonl.answers")
    for lines in (50, 400, 900):
        process = subprocess.Popen(command(killed), cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if answers.exists() and answers.read_bytes().count(b"\n") > lines:
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.01)
        process.wait(60)
        assert not killed.exists(), "it was killed before it was done"
    subprocess.run(command(killed), cwd=root, check=True, capture_output=True, timeout=300)
    assert killed.read_bytes() == whole.read_bytes()


@contextmanager
def no_file_larger_than(size):
    """As on a disk that gets full: writing beyond that many bytes of a file fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [50, 3000, 21000])
def test_a_full_disk_is_told_and_what_is_there_is_used(whole, tmp_path, size):
    out = tmp_path / "a.jsonl"
    with no_file_larger_than(size), pytest.raises(ValueError, match="can't be written"):
        run(out, Grammar())
    assert not out.exists()
    assert run(out, Grammar()) == whole[1]
    assert out.read_bytes() == whole[0].read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "a.jsonl.json"]


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf8")
    with pytest.raises(ValueError, match="can't be written"):
        run(tmp_path / "file" / "a.jsonl", Grammar())
