"""Latency tables: what each operator takes on a device, read from files, summed over a network.

It imports what `hardware` imports. Begin with `latency_table`.
"""
