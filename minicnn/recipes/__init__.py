"""Lecture systems that run from one command: ``minicnn list`` shows them, ``minicnn run NAME`` runs one."""

from minicnn.recipes import lenet5, lenet5_softmax, lenet_gap
from minicnn.recipes.recipe import Options, Recipe
from minicnn.recipes.report import Expectation, Report

RECIPES: dict[str, Recipe] = {m.RECIPE.name: m.RECIPE for m in (lenet5, lenet5_softmax, lenet_gap)}

__all__ = ["RECIPES", "Expectation", "Options", "Recipe", "Report"]
