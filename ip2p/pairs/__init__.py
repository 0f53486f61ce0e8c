"""Pairs of pictures from edit triplets: made together, scored with CLIP, and filtered (the paper's sections 3.1.2 and A.2)."""
