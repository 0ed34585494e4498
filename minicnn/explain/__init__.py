"""Looking inside: the graph of a computation, and what each layer makes of an input."""

from minicnn.explain.features import draw_features, features
from minicnn.explain.graph import graph

__all__ = ["draw_features", "features", "graph"]
