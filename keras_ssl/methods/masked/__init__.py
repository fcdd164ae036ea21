"""Masked image modelling: what is hidden of an image is predicted from what is left."""
