"""Predicting: data sheets, rooflines, and efficiencies fitted to published figures.

It imports what `hardware` imports. Begin with `predict`.
"""
