"""Edit triplets: a caption, an instruction, and the caption of the edited picture (the paper's section 3.1.1)."""
