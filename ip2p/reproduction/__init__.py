"""The paper, whole, at small scale: networks from nothing, generated pairs, editors, measurements, and what they say of its claims."""
