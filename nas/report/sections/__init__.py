"""The sections of the report, one module each: its sentence, its table, its figure. `order.py` lists them."""
