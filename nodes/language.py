"""Edits in words by language models: one on this machine, or one behind a server."""

from pathlib import Path
from typing import Any

import folder_paths

from ..ip2p.captions.asking import LONGEST, PAPER_FREQUENCY_PENALTY, PAPER_TEMPERATURE
from ..ip2p.captions.prompts import FORMATS
from ._api import io, say, schema
from ._places import DATA_SETS, folder_of, plain_name
from .captions import captions, edit_seed, filtering, filters_of, made_outputs, per_caption

AUTO, NAMED = "auto", "as named below"
FOLDER = "LLM"
"""The host's folder of language models, below models."""
KEYS = "ip2p_keys"
"""Below the host's user folder, where no page can read it."""

folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))


def models() -> list[str]:
    """The language models that are there."""
    from ..samplers.language import models_in

    return [NAMED, *models_in(folder_paths.get_folder_paths(FOLDER))]


def place_of(model: str, name: str) -> str:
    """The path or public name of a model as it is chosen. Raises ValueError where none is, or where it isn't there."""
    if model == NAMED:
        if not name.strip():
            raise ValueError(f"No language model is chosen: put one into models/{FOLDER}, or write its path or public name into 'name'.")
        return name.strip()
    places = [Path(folder) / model for folder in folder_paths.get_folder_paths(FOLDER)]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise ValueError(f"The language model {model} is not in models/{FOLDER}: choose another, or put it there.")
    return str(found)


def key_of(name: str) -> Path | None:
    """The file of a key by its plain name. Raises ValueError, without the name, which may be a key put there by mistake."""
    if not name.strip():
        return None
    folder = Path(folder_paths.get_system_user_directory(KEYS))
    try:
        place = folder / plain_name(name)
        there = place.is_file()
    except (ValueError, OSError):
        there = False
    if not there:
        raise ValueError(f"There is no such key file in {folder}: write the server's address and the key into a file there.")
    return place


def asking() -> list[io.Input]:
    """How a model is asked."""
    return [
        io.Combo.Input(
            "format",
            options=[AUTO, *FORMATS],
            default=AUTO,
            tooltip="chat: a model that answers. few-shot: one that continues text. paper: one fine-tuned for this. auto: what suits it.",
        ),
        io.Int.Input("examples", default=6, min=0, max=64, tooltip="How many edits written by hand each question shows the model."),
        io.Float.Input(
            "temperature",
            default=PAPER_TEMPERATURE,
            min=0.0,
            max=2.0,
            step=0.05,
            round=0.001,
            tooltip="Higher gives bolder edits and more nonsense; 0 always the likeliest. The paper's is 0.7.",
        ),
        io.Float.Input(
            "frequency_penalty",
            default=PAPER_FREQUENCY_PENALTY,
            min=-2.0,
            max=2.0,
            step=0.05,
            round=0.001,
            tooltip="Against repeating words within a reply. The paper's is 0.1.",
        ),
        io.Int.Input("max_tokens", default=LONGEST, min=8, max=4096, tooltip="Longest reply; what is longer is thrown away."),
        io.Int.Input("tries", default=3, min=1, max=100, tooltip="How often to ask for an edit until the reply is one."),
    ]


def chosen() -> list[io.Input]:
    """Which model."""
    return [
        io.Combo.Input(
            "model",
            options=models(),
            default=NAMED,
            tooltip=f"A language model in models/{FOLDER}: a folder as transformers writes it, or a .gguf file.",
        ),
        io.String.Input("name", default="", tooltip="For 'as named below': a folder, a .gguf file, or a public name such as owner/model."),
    ]


def kept_in() -> io.String.Input:
    """Where the answers are kept."""
    return io.String.Input(
        "folder",
        default="my edits",
        tooltip="Answers are kept one by one in output/ip2p_data/FOLDER. Cancel whenever you like: queued again, it goes on.",
    )


def told(asked: dict[str, Any]) -> dict[str, Any]:
    """The inputs of :func:`asking` as settings, taken out of all inputs."""
    names = {"examples": "shown", "temperature": "temperature", "frequency_penalty": "frequency_penalty"}
    names |= {"max_tokens": "max_tokens", "tries": "tries"}
    return {setting: asked.pop(name) for name, setting in names.items()}


def work(node: type[io.ComfyNode], captions: str, per_caption: int, seed: int, folder: str, **filters: Any) -> Any:
    """The inputs that both nodes have, as what is to be made. Raises ValueError."""
    from ..samplers.language import Work

    return Work(captions, per_caption, seed, filters_of(**filters), folder_of(DATA_SETS, folder), lambda text: say(text, node))


def shown(made: Any, node: type[io.ComfyNode]) -> io.NodeOutput:
    """What was made as outputs, its gist on the node."""
    say(made.gist, node)
    return io.NodeOutput(*made[:3])


class IP2PTripletsLocal(io.ComfyNode):
    """Edits of captions by a language model on this machine."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PTripletsLocal",
            display_name="Triplets by language model",
            category="InstructPix2Pix/data",
            description="Makes edits of captions in words with a language model on this machine: a chat model, one that only continues "
            "text, or one fine-tuned for it. Answers are kept one by one; queued again, it goes on.",
            search_aliases=["LLM", "gguf", "edit instructions", "caption edits", "prompt pairs", "transformers"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                captions(),
                *chosen(),
                per_caption(),
                *asking(),
                io.Int.Input("batch", default=8, min=1, max=1024, tooltip="Replies written at a time: more is faster, in more memory."),
                edit_seed(),
                kept_in(),
                *filtering(),
            ],
            outputs=made_outputs(),
        )

    @classmethod
    def execute(cls, model: str, name: str, format: str, batch: int, **others: Any) -> io.NodeOutput:  # noqa: A002 - as on the page
        from ..samplers.language import local

        place, settings = place_of(model, name), told(others)
        return shown(local(place, format, batch, work(cls, **others), **settings), cls)


class IP2PTripletsServer(io.ComfyNode):
    """Edits of captions by a language model behind a server."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="IP2PTripletsServer",
            display_name="Triplets by server",
            category="InstructPix2Pix/data",
            description="Makes edits of captions in words with a language model behind a server that speaks OpenAI's way: vLLM, Ollama, "
            "llama.cpp. Tries again when the server is busy; answers are kept one by one; queued again, it goes on.",
            search_aliases=["LLM", "OpenAI", "vLLM", "Ollama", "llama.cpp", "edit instructions", "caption edits"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                captions(),
                io.String.Input(
                    "url",
                    default="http://localhost:11434/v1",
                    tooltip="The server's address. Ollama: http://localhost:11434/v1, vLLM: port 8000, llama.cpp: port 8080.",
                ),
                io.String.Input("model", default="", tooltip="The model's name there. Empty: the only one that it has."),
                io.String.Input(
                    "key_file",
                    default="",
                    tooltip=f"Never a key itself: the name of a file in ComfyUI's user/__{KEYS} that holds the server's address and the "
                    "key. Empty: none, or that of the environment.",
                ),
                per_caption(),
                *asking(),
                io.Int.Input("concurrency", default=8, min=1, max=1024, tooltip="Requests under way at a time."),
                io.Float.Input(
                    "timeout", default=120.0, min=1.0, max=86400.0, step=0.05, round=0.01, tooltip="Seconds to wait for one reply."
                ),
                io.Int.Input(
                    "retries", default=5, min=0, max=100, tooltip="How often to ask again when a request fails, waiting longer each time."
                ),
                edit_seed(),
                kept_in(),
                *filtering(),
            ],
            outputs=made_outputs(),
        )

    @classmethod
    def execute(
        cls,
        url: str,
        model: str,
        format: str,  # noqa: A002 - as on the page
        concurrency: int,
        timeout: float,
        retries: int,
        **others: Any,
    ) -> io.NodeOutput:
        from ..ip2p.captions.server import Server
        from ..samplers.language import server

        where = Server(url.strip(), model.strip(), key_of(others.pop("key_file")), True, timeout, retries)
        settings = told(others)
        return shown(server(where, format, concurrency, work(cls, **others), **settings), cls)


NODES = [IP2PTripletsLocal, IP2PTripletsServer]
