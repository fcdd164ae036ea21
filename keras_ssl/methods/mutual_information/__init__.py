"""Mutual information: two parts or views of an image tell as much of each other as they can.

The loss itself is an estimate of a mutual information, from the scores of all pairs of a batch or from the joint
distribution of two assignments. No teacher and no projector is needed. An estimate from a batch cannot exceed the
logarithm of the number of its pairs: more information is not always a better encoder.
"""
