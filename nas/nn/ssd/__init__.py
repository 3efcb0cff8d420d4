"""The state-space mixing itself (SSD, Dao & Gu 2024, arXiv 2405.21060), over any set of scan directions."""

from nas.nn.ssd.interface import ssd

__all__ = ["ssd"]
