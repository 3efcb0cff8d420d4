"""Runtimes: each makes a module ready to run once on a device.

It imports what `hardware` imports. Begin with `registry.BACKENDS`.
"""
