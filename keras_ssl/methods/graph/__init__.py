"""Graph methods: features of whole graphs, such as molecules, out of graphs without labels.

A graph is a dict of nodes, edges and their masks (see the guide on kinds of data); `keras_ssl.data.graphs` reads them,
and `keras_ssl.encoders.gin` is the usual encoder. Methods that do not depend on the kind of data train on graphs, too.
Small sets of graphs are noisy: compare folds and seeds, and always an untrained encoder, which is hard to beat there.
"""
