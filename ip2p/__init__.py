"""Instruction-based image editing (InstructPix2Pix): mathematics, files and training, free of any host."""

__version__ = "0.3.0"
