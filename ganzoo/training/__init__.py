"""Behind the grammar: optimizers and schedules of players, the training step, resume, EMA, seeds, checkpoint files."""
