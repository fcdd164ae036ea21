"""Clustering methods: images are assigned to prototypes or clusters, and the assignment is what is learned."""
