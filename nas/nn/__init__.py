"""Modules that know one `Operator` and no supernet: blocks, stems, layers, quantizers, plain networks.

It imports leaves and `space`. Begin with `subnet.build_subnet` and `blocks.BLOCKS`.
"""
