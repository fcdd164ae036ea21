"""Contrastive methods: views of one image attract, views of others repel."""
