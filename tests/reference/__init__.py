"""The papers in plain NumPy loops, float64: what the library is compared with."""
