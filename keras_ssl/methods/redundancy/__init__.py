"""Redundancy reduction: two views agree, and the dimensions of the embedding say different things.

There are neither negatives nor a teacher: what prevents a collapse is in the loss, where it can be read. The
statistics are those of the batch, which should hold at least some 128 images.
"""
