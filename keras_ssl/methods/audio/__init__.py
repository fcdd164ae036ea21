"""Audio methods: one part of a sound tells of another part of it.

Order and distance in time are the labels. What they learn, words, speakers or scenes, depends on how far apart the
parts are, and on what they are told from. Methods that compare two views, such as `SimCLR` and `BYOL`, train on sounds
as well: with `keras_ssl.augment.simclr_audio` as their views.
"""
