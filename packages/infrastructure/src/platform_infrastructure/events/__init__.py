"""The engines that carry events."""
