"""Series methods: pretext tasks of sensor series, whose answers are known without labels.

What is changed in a series, and what a network has to tell of it, is made for signals over time. Methods that compare
two views, such as `SimCLR`, train on series as well: with `keras_ssl.augment.simclr_activity` as their views.
"""
