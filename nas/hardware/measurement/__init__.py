"""Measuring: the protocol, what a profile covers, and how far its table can be trusted.

It imports what `hardware` imports. Begin with `protocol`, then `profile.profile`.
"""
