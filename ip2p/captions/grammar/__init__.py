"""A grammar that edits captions, written for this project: it needs no model, no network and no download."""
