"""Fine-tuning with LoRA: a small model learns triplets for real, stops, goes on, and is read again."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from tiny_language import TAUGHT, llama, memorised, save, tokenizer, write_gguf

from ip2p.captions import finetune as tuning
from ip2p.captions.asking import Asking
from ip2p.captions.finetune import FineTuning
from ip2p.captions.language_model import LanguageModel, LocalSource
from ip2p.captions.triplet import Triplet

pytestmark = pytest.mark.whole

plain = tuning.padded
NEW = (
    Triplet("a dog on a beach", "make it night", "a dog on a beach at night"),
    Triplet("a bowl of apples", "add a mountain", "a bowl of lemons below a mountain"),
    Triplet("a castle on a hill", "as a pencil sketch", "pencil sketch of a castle on a hill"),
    Triplet("a woman in a street", "make it snow", "a woman in a snowy street"),
)
LONG = FineTuning(epochs=100, rate=3e-3, batch=4, rank=16)
SHORT = FineTuning(epochs=2, batch=2, save_every=2)
GREEDY = Asking(format="paper", temperature=0.0, frequency_penalty=0.0, max_tokens=40)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A model that knows other triplets."""
    return str(save(tmp_path_factory.mktemp("models") / "base", memorised()[0]))


@pytest.fixture(scope="module")
def learnt(base, tmp_path_factory):
    """(folder with the LoRA, steps)"""
    steps = []
    out = tmp_path_factory.mktemp("runs") / "tuned"
    done = tuning.finetune(LanguageModel.load(base, "cpu"), base, NEW, out, LONG, steps.append)
    return done, steps


def answers(model):
    asked = LocalSource(model, GREEDY, 8).ask([one.caption for one in NEW], 1, 0)
    return [(one.instruction, one.edited_caption) if isinstance(one, Triplet) else None for (one,) in asked]


def test_it_learns_triplets_by_heart(base, learnt):
    done, steps = learnt
    before, model = answers(LanguageModel.load(base, "cpu")), LanguageModel.load(str(done), "cpu")
    assert before[0] == (TAUGHT[0].instruction, TAUGHT[0].edited_caption)
    assert model.format == "paper"
    assert answers(model) == [(one.instruction, one.edited_caption) for one in NEW]
    assert steps[-1].loss < 0.05 < 1 < steps[0].loss
    assert [step.number for step in steps] == list(range(1, steps[-1].total + 1))


def test_merged_it_is_a_model_of_its_own(base, learnt, tmp_path):
    settings = FineTuning(**{**vars(SHORT), "merge": True})
    done = tuning.finetune(LanguageModel.load(base, "cpu"), base, TAUGHT, tmp_path / "merged", settings)
    alone = tuning.finetune(LanguageModel.load(base, "cpu"), base, TAUGHT, tmp_path / "lora", SHORT)
    assert not (done / "adapter_config.json").exists()
    merged, adapted = LanguageModel.load(str(done), "cpu"), LanguageModel.load(str(alone), "cpu")
    tokens = torch.tensor([merged.tokenizer("a dog on a beach\n##\n")["input_ids"]])
    assert torch.allclose(merged.module(tokens).logits, adapted.module(tokens).logits, atol=1e-4)
    assert not torch.allclose(merged.module(tokens).logits, LanguageModel.load(base, "cpu").module(tokens).logits, atol=1e-2)


def test_a_gguf_file_can_be_taught(tmp_path, monkeypatch):
    """The result remembers the file, wherever the command was given; merged it needs it no more."""
    write_gguf(tmp_path / "knows.gguf", memorised()[0])
    monkeypatch.chdir(tmp_path)
    results = []
    for merge in (False, True):
        settings = FineTuning(**{**vars(SHORT), "merge": merge})
        results.append(tuning.finetune(LanguageModel.load("knows.gguf", "cpu"), "knows.gguf", TAUGHT, tmp_path / f"{merge}", settings))
    monkeypatch.chdir("/")
    tokens = torch.tensor([memorised()[1]("a dog on a beach\n##\n")["input_ids"]])
    adapted = LanguageModel.load(str(results[0]), "cpu").module(tokens).logits
    (tmp_path / "knows.gguf").unlink()
    assert torch.allclose(LanguageModel.load(str(results[1]), "cpu").module(tokens).logits, adapted, atol=1e-4)
    with pytest.raises(ValueError, match=r"knows\.gguf"):
        LanguageModel.load(str(results[0]), "cpu")


def test_stopped_anywhere_it_learns_the_same(base, tmp_path):
    """Stopped in the middle of every single step and begun again each time, the LoRA is the same to the bit."""
    losses, again, rounds, found = {}, {}, 0, None
    model = LanguageModel.load(base, "cpu")
    done = tuning.finetune(model, base, TAUGHT, tmp_path / "through", SHORT, lambda step: losses.update({step.number: step.loss}))
    pieces = tmp_path / "pieces"
    while not found:
        rounds += 1
        model, asked = LanguageModel.load(base, "cpu"), []
        torch.manual_seed(rounds)

        def fourth(asked=asked):
            """Two rows are a step: this is in the middle of the second one."""
            asked.append(1)
            return len(asked) == 4

        found = tuning.finetune(model, base, TAUGHT, pieces, SHORT, lambda step: again.update({step.number: step.loss}), fourth)
    assert rounds == len(losses)
    assert again == losses
    assert (found / "adapter_model.safetensors").read_bytes() == (done / "adapter_model.safetensors").read_bytes()
    assert not list(pieces.glob("**/*.part*"))


def test_a_step_is_the_same_in_one_piece_or_row_by_row(base, monkeypatch):
    """The loss is the mean over all tokens of the step, whatever lengths its rows have."""
    weights = []
    for rows in (1, 2, 4):
        model = LanguageModel.load(base, "cpu")
        model.module.requires_grad_(True)
        optimizer = torch.optim.SGD(model.module.parameters(), lr=0.1)
        examples = [tuning.example(model.tokenizer, triplet) for triplet in NEW]
        device = SimpleNamespace(type="any" if rows > 1 else "cpu")
        monkeypatch.setattr(tuning, "ROWS", rows)
        monkeypatch.setattr(tuning, "padded", lambda some, pad, _: plain(some, pad, "cpu"))
        apart = SimpleNamespace(module=SimpleNamespace(device=device), tokenizer=model.tokenizer)
        loss = tuning._step(model.module, apart, optimizer, examples, lambda: False)
        weights.append((loss, torch.cat([weight.detach().flatten() for weight in model.module.parameters()])))
    for loss, after in weights[1:]:
        assert loss == pytest.approx(weights[0][0], rel=1e-5)
        assert torch.allclose(after, weights[0][1], atol=1e-6)


def test_killed_between_checkpoints_it_goes_on_from_the_last(base, tmp_path):
    class KilledError(Exception):
        pass

    def die(step):
        if step.number == 3:
            raise KilledError

    seen = []
    with pytest.raises(KilledError):
        tuning.finetune(LanguageModel.load(base, "cpu"), base, TAUGHT, tmp_path, SHORT, die)
    tuning.finetune(LanguageModel.load(base, "cpu"), base, TAUGHT, tmp_path, SHORT, lambda step: seen.append(step.number))
    assert seen == [3, 4, 5, 6], "the checkpoint after step 2 is the newest"


def test_another_run_in_the_folder_is_not_touched(base, tmp_path):
    tuning.finetune(LanguageModel.load(base, "cpu"), base, TAUGHT, tmp_path, SHORT, cancelled=lambda: True)
    assert not (tmp_path / "model").exists()
    with pytest.raises(ValueError, match="another rate"):
        tuning.finetune(LanguageModel.load(base, "cpu"), base, TAUGHT, tmp_path, FineTuning(**{**vars(SHORT), "rate": 1e-3}))
    with pytest.raises(ValueError, match="another triplets"):
        tuning.finetune(LanguageModel.load(base, "cpu"), base, TAUGHT[:3], tmp_path, SHORT)
    with pytest.raises(ValueError, match="another model"):
        tuning.finetune(LanguageModel.of(llama(seed=9), tokenizer(), "x"), base, TAUGHT, tmp_path, SHORT)
    with pytest.raises(ValueError, match="no triplets"):
        tuning.finetune(LanguageModel.load(base, "cpu"), base, [], tmp_path / "empty", SHORT)


def test_every_triplet_is_seen_once_an_epoch_in_another_order():
    steps = tuning.batches(7, FineTuning(epochs=3, batch=3))
    assert len(steps) == 9
    epochs = [[*steps[first], *steps[first + 1], *steps[first + 2]] for first in (0, 3, 6)]
    assert all(sorted(order) == list(range(7)) for order in epochs)
    assert len({tuple(order) for order in epochs}) == 3


def test_the_loss_is_that_of_the_completion_alone():
    """Against a plain sum over each row: the tokens after the prompt, each from those before it, padding and prompt left out."""
    own, module = tokenizer(), llama(seed=5)
    examples = [tuning.example(own, triplet) for triplet in TAUGHT[:3]]
    assert own.decode(examples[0][0]) == "a dog on a beach\n##\n"
    assert own.decode(examples[0][1]) == "make it snow\n%\na dog on a snowy beach\nEND"
    tokens, mask, labels = tuning.padded(examples, own.pad_token_id, "cpu")
    loss = tuning.completion_loss(module(input_ids=tokens, attention_mask=mask).logits, labels)
    total, count = 0.0, 0
    module.requires_grad_(False)
    for prompt, learnt in examples:
        scores = F.log_softmax(module(torch.tensor([prompt + learnt])).logits[0], -1)
        for place, token in enumerate(learnt, len(prompt)):
            total, count = total - float(scores[place - 1, token]), count + 1
    assert float(loss.detach()) == pytest.approx(total / count, rel=1e-5)


def test_the_rate_rises_and_falls():
    rates = [tuning.rate_at(number, 100, FineTuning(rate=1.0)) for number in range(100)]
    assert rates[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.001


def test_a_lora_whose_base_is_gone_is_said(base, learnt, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(learnt[0], copy)
    mark = copy / "ip2p_captions.json"
    told = json.loads(mark.read_text())
    assert told == {"base": base, "format": "paper"}
    mark.write_text(json.dumps({**told, "base": str(tmp_path / "gone")}))
    with pytest.raises(ValueError, match="gone"):
        LanguageModel.load(str(copy), "cpu")
    mark.write_text("{")
    with pytest.raises(ValueError, match="fine-tune again"):
        LanguageModel.load(str(copy), "cpu")


@pytest.mark.parametrize("settings", [{"epochs": 0}, {"rate": 0.0}, {"batch": 0}, {"rank": 0}, {"save_every": 0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match="out of range"):
        FineTuning(**settings)
