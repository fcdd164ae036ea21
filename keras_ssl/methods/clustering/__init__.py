"""Clustering methods: images are assigned to prototypes or clusters, and the assignment is what is learned.

Take them where the data has groups, known or not, and where batches are of moderate size: an image is compared with
prototypes, not with other images. Most give every cluster an equal share, so strongly unbalanced data suits them
less.
"""
