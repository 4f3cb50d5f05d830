"""The adapters of the domain's ports."""
