"""The editors of a run: each edits an example with a setting, whatever model is behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..data.example import Example
from ..presets import PRESETS
from .run import EditFunction
from .settings import Setting, seed_of

if TYPE_CHECKING:
    from ..edit import Editor
    from ..text_to_image import TextToImage


def nothing(example: Example, setting: Setting) -> Tensor:
    """The source as it is: what doing nothing would score."""
    return example.image()


def answer(example: Example, setting: Setting) -> Tensor:
    """The right answer itself: the best a score can be. Raises ValueError where none is known."""
    if example.edited is None:
        raise ValueError(f"{example.id} has no right answer: leave the editor `answer` out for this data.")
    return example.edited()


def ours(editor: "Editor", steps: int | None = None, **more: Any) -> EditFunction:
    """InstructPix2Pix by the instruction; `steps` where a setting says none (None: the model's own), `more` as `Editor.edit` takes it."""

    def edit(example: Example, setting: Setting) -> Tensor:
        asked = setting.get("steps")
        chosen: dict[str, Any] = {"text_scale": setting.get("text_scale"), "image_scale": setting.get("image_scale")}
        count = steps if asked is None else int(asked)
        return editor.edit(example.image()[None], example.instruction, steps=count, seed=seed_of(example.id, setting), **chosen, **more)[0]

    return edit


def sdedit(model: "TextToImage", **more: Any) -> EditFunction:
    """SDEdit (Meng et al. 2022) by the edited caption, as the paper compares with. Raises ValueError where there is no such caption."""

    def edit(example: Example, setting: Setting) -> Tensor:
        strength = setting.get("strength")
        return _from_caption(model, example, setting, 0.6 if strength is None else strength, more)

    return edit


def prompt(model: "TextToImage", **more: Any) -> EditFunction:
    """The edited caption alone, without the source: for a text-to-image model personalised to the subject (DreamBooth)."""

    def edit(example: Example, setting: Setting) -> Tensor:
        return _from_caption(model, example, setting, 1.0, more)

    return edit


def _from_caption(model: "TextToImage", example: Example, setting: Setting, strength: float, more: dict[str, Any]) -> Tensor:
    if not example.edited_caption.strip():
        raise ValueError(f"{example.id} has no caption of the edited picture, which {setting.editor} needs: add one, or leave it out.")
    asked = setting.get("steps")
    chosen: dict[str, Any] = {"steps": None if asked is None else int(asked), "scale": setting.get("scale")}
    seed = seed_of(example.id, setting)
    return model.sdedit(example.image()[None], example.edited_caption, strength=strength, seed=seed, **chosen, **more)[0]


def edit_functions(
    editor: "Callable[[], Editor] | None" = None,
    text_to_image: "Callable[[], TextToImage] | None" = None,
    personalised: "Callable[[], TextToImage] | None" = None,
    **more: Any,
) -> dict[str, EditFunction]:
    """Every editor that the given models make possible. A model is loaded when it is first needed, and once.

    `more` goes to all of them: size, sampler, negative, on_step.
    """
    found: dict[str, EditFunction] = {"nothing": nothing, "answer": answer}
    if editor:
        load = _once(editor)
        found["ip2p"] = Lazy(load, lambda model: ours(model, **more))
        found["fast"] = Lazy(load, lambda model: ours(model, PRESETS["fast"].steps, speed="fast", **more))
    if text_to_image:
        found["sdedit"] = Lazy(_once(text_to_image), lambda model: sdedit(model, **more))
    if personalised:
        found["prompt"] = Lazy(_once(personalised), lambda model: prompt(model, **more))
    return found


@dataclass(frozen=True, eq=False)
class Lazy:
    """An editor whose model is loaded by `prepare`, or when it first edits."""

    load: Callable[[], Any]
    made: Callable[[Any], EditFunction]

    def prepare(self) -> None:
        """Load the model now, so that no edit's time has it, and a model that can't be loaded stops the run."""
        self.load()

    def __call__(self, example: Example, setting: Setting) -> Tensor:
        return self.made(self.load())(example, setting)


def _once(load: Callable[[], Any]) -> Callable[[], Any]:
    return lru_cache(maxsize=None)(load)
