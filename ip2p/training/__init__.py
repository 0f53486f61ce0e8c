"""Training, on the same mathematics as editing: data, objectives, one loop, and the stages that make the embedded editor."""
