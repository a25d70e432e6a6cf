"""Many files: one after the other, side by side in processes, or on a Ray cluster; and resumed.

The three ways take the same task and give the same outcomes, in whatever order files finish.
"""
