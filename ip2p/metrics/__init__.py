"""How far two pictures are apart, and how well a picture fits a text.

Features (`clip`, `dino`, `perceptual`) stand apart from distances (`similarity`, `pixels`), so that each is computed once and compared
often; `measures` brings them together as the columns of a table.
"""
