"""PMSN. It has the recipe of MSN, for images whose classes are far from balanced: on ImageNet it is behind MSN."""

from keras_ssl.recipes.distillation import msn

ENCODERS = msn.ENCODERS
views = msn.views


def paper(run):
    return msn.paper(run, "PMSN")


def minutes(run):
    return msn.minutes(run, "PMSN")
