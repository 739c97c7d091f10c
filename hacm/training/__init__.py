"""Loops: pretraining, evaluation, checkpoints and run directories."""
