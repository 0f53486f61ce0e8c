"""What is edited and measured: examples, and the readers of the places they come from."""
