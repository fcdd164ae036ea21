"""Dense methods: what is compared are places or regions of two views, not whole views.

Views that are pooled to one vector forget where things are. Here each place of the map of features has a partner in the
other view: the place that lies where it does, that looks most like it, or all that belong to the same region. Such
encoders are for segmentation and detection, with `eval.segment` and `eval.detect`; as classifiers of whole images they
are mostly worse. Images should show more than one thing: on pictures of one thing, cut out, there is little to tell
apart. `augment.Located` says where the views lie.
"""
