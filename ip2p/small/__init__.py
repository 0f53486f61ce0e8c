"""Small networks of our own, made from nothing: the embedded editor's parts and the world's CLIP."""
