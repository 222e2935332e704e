"""Speed and memory beside the plain alternative, measured in one run.

``python -m benchmarks``.
"""
