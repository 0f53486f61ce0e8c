"""How far two pictures are apart."""
