"""What every operation uses, and no physics.

Units, schema, labelled results, errors, statuses.
"""
