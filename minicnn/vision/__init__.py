"""Classical vision and geometry on plain arrays."""
