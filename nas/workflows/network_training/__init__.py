"""Trainings of single networks that several commands need: jobs, their candidates, tuned recipes.

Begin with `jobs`, then `candidates`.
"""
