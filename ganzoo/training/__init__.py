"""What stands behind the grammar: optimizers and schedules of players, the step, resume, averages, seeds, checkpoints."""
