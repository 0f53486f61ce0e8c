"""`python -m ip2p captions` with language models: a local one, a server, fine-tuning."""

import json

import pytest
from completion_server import NAME, serving
from tiny_language import TAUGHT, memorised, save

from ip2p.captions import files, human, prompts
from ip2p.captions.language_model import LanguageModel
from ip2p.cli import main

pytestmark = pytest.mark.whole

GREEDY = ["--format", "paper", "--temperature", "0", "--frequency-penalty", "0", "--max-tokens", "40"]
TEXTS = [(one.caption, one.instruction, one.edited_caption) for one in TAUGHT]


@pytest.fixture
def captions(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_text("\n".join(one.caption for one in TAUGHT))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(save(tmp_path_factory.mktemp("models") / "knows", memorised()[0]))


def texts(path):
    return [(one.caption, one.instruction, one.edited_caption) for one in files.read(path)]


def test_a_local_model(captions, folder, tmp_path, capsys):
    out = tmp_path / "triplets.jsonl"
    told = ["captions", str(captions), "--source", "local", "--model", folder, "--device", "cpu", "--out", str(out), *GREEDY, "--json"]
    assert main(told) == 0
    assert texts(out) == TEXTS
    report = json.loads(capsys.readouterr().out)
    assert (report["captions"], report["triplets"]) == (6, 6)
    assert {one.source for one in files.read(out)} == {"knows"}


def test_a_server_that_stops_and_comes_back(captions, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    out = tmp_path / "triplets.jsonl"
    model = LanguageModel.of(*memorised(), "knows", "paper")
    with serving(model, lambda path, body, number: (401, {}, {}) if body and number >= 4 else None) as (url, state):
        told = ["captions", str(captions), "--source", "server", "--server", url, "--out", str(out), "--concurrency", "1", *GREEDY]
        assert main(told) == 2
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert said.startswith("error: The server at")
        assert "key" in said
        assert not out.exists()
        before, state.before = len(state.asked), lambda path, body, number: None
        assert main(told) == 0
    assert texts(out) == TEXTS
    again = {request["prompt"] for request in state.asked[before:]}
    assert again == {prompts.prompt(one.caption) for one in TAUGHT[4:]}, "the four answers before the failure are kept"
    assert {one.source for one in files.read(out)} == {NAME}


def test_fine_tuning_and_its_result(captions, folder, tmp_path, capsys):
    taught = tmp_path / "taught.jsonl"
    files.write(taught, TAUGHT)
    tuned, out = tmp_path / "tuned", tmp_path / "triplets.jsonl"
    told = [
        "captions",
        "--finetune",
        str(tuned),
        "--model",
        folder,
        "--device",
        "cpu",
        "--triplets",
        str(taught),
        "--epochs",
        "2",
        "--batch",
        "3",
    ]
    assert main(told) == 0
    assert capsys.readouterr().out == f"{tuned / 'model'} (of 6 triplets)\n"
    asked = ["captions", str(captions), "--source", "local", "--model", str(tuned / "model"), "--device", "cpu", "--out", str(out)]
    assert main([*asked, *GREEDY[2:]]) == 0
    assert texts(out) == TEXTS, "it knew them before, and was taught them again"
    assert main([*told, "--rate", "0.1"]) == 2
    assert "another rate" in capsys.readouterr().err


def test_fine_tuning_can_be_stopped_and_goes_on(folder, tmp_path, monkeypatch, capsys):
    """A polite kill saves a checkpoint; the same command ends the run."""
    import os
    import signal

    from ip2p.captions import finetune as tuning

    told = ["captions", "--finetune", str(tmp_path / "tuned"), "--model", folder, "--device", "cpu", "--epochs", "1", "--batch", "40"]
    steps, plain = [], tuning.rate_at

    def counted(number, *others):
        steps.append(number)
        if steps == [0, 1]:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(number, *others)

    monkeypatch.setattr(tuning, "rate_at", counted)
    assert main(told) == 130
    assert "Saving a checkpoint" in capsys.readouterr().err
    assert steps == [0, 1], "the second one was not finished"
    assert main(told) == 0
    assert steps[2:] == list(range(1, -(-len(human.triplets()) // 40)))


def test_mistakes_are_told_in_a_sentence(captions, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out.jsonl")]
    for told, said in (
        (["--source", "local"], "No language model is named"),
        (["--source", "local", "--model", str(tmp_path)], "config.json"),
        (["--source", "server", "--server", "localhost"], "not that of a server"),
        (["--source", "local", "--model", str(tmp_path), "--temperature", "9"], "temperature"),
    ):
        assert main(["captions", str(captions), *out, *told]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ")
        assert said in error
