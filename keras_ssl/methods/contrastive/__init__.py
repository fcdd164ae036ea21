"""Contrastive methods: views of one image attract, views of others repel.

The family to begin with: few arguments, and good features within minutes. Those that take their negatives from the
batch need at least some 128 images in it; those with a queue or a bank do not. Where most pairs of images show the
same thing, negatives are often false: take a method without them.
"""
