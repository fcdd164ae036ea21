"""The benchmarks know every method."""

import importlib
from pathlib import Path

import pytest

import keras_ssl

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def recipes(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("small_recipes")


def test_every_method_has_a_recipe(recipes):
    assert set(recipes.RECIPES) == set(keras_ssl.METHODS)
    assert set(recipes.CALLBACKS) <= set(recipes.RECIPES) and set(recipes.FROM_IMAGES) <= set(recipes.RECIPES)


@pytest.mark.parametrize("name", ["SimCLR", "PCL", "CMC", "DINO", "VICReg", "ConvMAE", "QBHeat"])
def test_recipes_build_what_they_are_called(recipes, name):
    model, optimizer = recipes.RECIPES[name]()
    assert type(model) is getattr(keras_ssl, name)
    model.compile(optimizer=optimizer)
