"""Generation: the image itself is the task, as what is to be reconstructed or what noise is to be turned into.

These are the baselines that other methods are compared with. Whatever covers many pixels is worth learning to them, and
the class of an object often covers few: their features are seldom better than those of a method of another family after
the same time. They show what they have learned as pictures, and images without any augmentation are enough for them.
"""
