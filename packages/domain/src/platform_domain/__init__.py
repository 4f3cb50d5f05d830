"""What the platform is: entities, errors and ports."""
