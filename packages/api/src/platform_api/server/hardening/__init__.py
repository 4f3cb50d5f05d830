"""What Hypercorn 0.18.0 lacks to face strangers, an idea a module; `install` puts it in place.

Each class removes a defect that was measured, says which, and goes when upstream has mended it.
"""
