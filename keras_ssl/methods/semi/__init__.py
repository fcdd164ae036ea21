"""Semi-supervised: a classifier of a few labels that also learns from the images without one.

Self-supervised methods train first without labels and then with them; these do both at once. Every batch has labeled
images and more unlabeled ones beside them, see `keras_ssl.data.with_unlabeled`. Take them where the classes are known
and some images of each have a label: 4 of each class are enough for `FixMatch` after a long run. Where the classes are
not known yet, or several tasks share an encoder, take another family and `keras_ssl.eval.semi_supervised`.

Compare with a classifier that was trained on the labels alone, with its own rate and decay: `PseudoLabel` with
`weight=0.0` is one, step by step. In the others unlabeled images still have a part then, in the statistics of batch
normalization, which see both, or by terms with weights of their own (entropy, virtual adversarial training).
"""
