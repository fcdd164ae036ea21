"""Beta-VAE: openreview Sy2fzU9gl. Its loss and what beta does are tested with those of the VAE."""

import pytest

import keras_ssl
from tests import cases
from tests.methods.generation.test_vae import slow

CASE = cases.Case({"width": 4, "dim": 6, "beta": 2.0}, views=cases.one_crop, optimizer=slow)


def test_a_beta_below_zero_is_refused():
    with pytest.raises(ValueError, match="beta must be a finite number from 0"):
        keras_ssl.BetaVAE(cases.small_encoder(), beta=-1.0)
