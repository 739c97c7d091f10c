"""Plotly figures of skeletons, masks, the Poincare ball and results."""
