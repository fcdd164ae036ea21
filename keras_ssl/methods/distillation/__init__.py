"""Self-distillation: a student predicts what its slowly moving teacher sees.

There are no negatives, so it does not matter whether other images are alike. These methods start slowly and reward
long training, above all of vision transformers. Without the part that keeps them apart (predictor, center, stop-
gradient) they collapse, so watch `eval.CollapseMonitor`. `Distill` has a teacher that was trained before and stays as
it is: that is quick, and nothing can collapse.
"""
