"""Masks: tokens, scores and sampling. Nothing here learns or needs a model."""
