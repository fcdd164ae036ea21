"""Prediction of features: the features of one part of a sample are predicted from another part of it.

What is predicted are features, not pixels, so that nothing has to be painted that says little of what is shown. No
changes of color have to be thought out. Such methods want long schedules: after minutes those that compare two views
are ahead. Features that are the same for all images are easy to predict: contrastive methods (CPC) tell the right ones
from others, joint-embedding methods (I-JEPA) let a slow copy of the encoder make them. There watch how much the targets
differ, not the loss.
"""
