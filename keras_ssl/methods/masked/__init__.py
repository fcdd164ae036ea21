"""Masked image modeling: what is hidden of an image is predicted from what is left.

For transformers that will be fine-tuned: the views need no colors to be changed, one view is enough, and a step is
cheap where hidden patches are left out. Frozen features are weaker than those of the other families.
"""
