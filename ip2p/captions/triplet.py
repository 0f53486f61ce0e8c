"""The record of an edit in words."""

from dataclasses import dataclass, field

from ..ids import id_of


@dataclass(frozen=True)
class Triplet:
    """One edit in words. `id` stands for its three texts unless given; `source` says who wrote it ("grammar", "human", a model's name);
    `kind` groups edits in tables ("recolour", "season"; "" where it isn't known)."""

    caption: str
    instruction: str
    edited_caption: str
    id: str = field(default="")
    source: str = ""
    kind: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", id_of(*self.texts))

    @property
    def texts(self) -> tuple[str, str, str]:
        """The caption, the instruction, the edited caption."""
        return self.caption, self.instruction, self.edited_caption
