"""Redundancy reduction: two views agree, and the dimensions of the embedding say different things."""
